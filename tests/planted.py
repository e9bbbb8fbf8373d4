"""Models, dictionaries and behaviours whose answers are known: by the reference numbers, or by hand."""

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedModel

from clew import Behaviour, Model, Pair
from clew.data.behaviours.metrics import Metric, answer_logit, logit_difference
from clew.dictionaries import AbsTopK, Gated, JumpReLU, ReLU, TopK
from clew.models.body import Body

REFERENCE = Path(__file__).parent / "reference"
ORACLE_SITES = ("embed", *(f"{part}.{layer}" for layer in range(3) for part in ("attn", "mlp", "resid")))


@cache
def oracle() -> dict[str, Tensor]:
    """Numbers of the published reference implementation, made right where it has defects (sfc.md beside the file)."""
    return load_file(REFERENCE / "sfc.safetensors")


def named(site: str) -> str:
    """A site under the oracle's name: attn.0 is attn_0."""
    return site.replace(".", "_")


@cache
def oracle_model(parallel: bool = True) -> Model:
    """The oracle's GPT-NeoX of three layers, float64; sequential blocks are held to finite differences instead."""
    config = GPTNeoXConfig(
        vocab_size=64, hidden_size=32, num_attention_heads=4, num_hidden_layers=3, intermediate_size=128,
        rotary_pct=0.25, hidden_act="gelu", layer_norm_eps=1e-5, use_parallel_residual=parallel,
        attn_implementation="sdpa",
    )  # fmt: skip
    module = GPTNeoXForCausalLM(config).double().eval()
    weights = {
        k.removeprefix("model/").replace("embed_out", "lm_head"): v for k, v in oracle().items() if k[:6] == "model/"
    }
    module.load_state_dict(weights)
    return Model(Body(module, None, "oracle"))


def oracle_lens(parallel: bool = True, kind: type = ReLU, **more: Tensor) -> Model:
    """That model through the oracle's autoencoders."""
    given = oracle()

    def sae(site: str) -> ReLU:
        e, d = given[f"sae/{named(site)}/W_E"], given[f"sae/{named(site)}/W_D"]
        biases = {"b_enc": given[f"sae/{named(site)}/b_E"], "b_dec": given[f"sae/{named(site)}/b_D"]}
        return kind(site, W_enc=e.T.contiguous(), W_dec=d.T.contiguous(), centred=True, **biases, **more)

    return oracle_model(parallel).through(*map(sae, ORACLE_SITES))


def behaviour_of(clean: Tensor, patch: Tensor | None, answers: Tensor, patch_answers: Tensor | None) -> Behaviour:
    """A behaviour in token ids; the metric is the one the oracle uses."""
    pairs = tuple(
        Pair(
            tuple(clean[i].tolist()),
            None if patch is None else tuple(patch[i].tolist()),
            (int(answers[i]),),
            () if patch_answers is None else (int(patch_answers[i]),),
        )
        for i in range(len(clean))
    )
    metric: Metric = answer_logit if patch_answers is None else logit_difference
    return Behaviour("token ids", pairs, metric, aligned=True)


def oracle_behaviour(pairs: bool = True) -> Behaviour:
    """The oracle's four prompts."""
    t = oracle()
    patch = (t["input/patch_ids"], t["input/patch_answer"]) if pairs else (None, None)
    return behaviour_of(t["input/clean_ids"], patch[0], t["input/clean_answer"], patch[1])


def random_dictionary(
    site: str, d: int, kind: type = ReLU, *, units: int = 20, writes: str | None = None, seed: int = 0
) -> ReLU:
    """A dictionary of random rows, not of unit norm, float64."""
    g = torch.Generator().manual_seed(seed + sum(map(ord, site)))
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    tensors = {
        "W_enc": draw(d, units) / d**0.5,
        "b_enc": 0.1 * draw(units),
        "W_dec": 0.3 * draw(units, d),
        "b_dec": 0.1 * draw(d),
    }
    more = {JumpReLU: {"threshold": 0.3 * draw(units).abs()}, TopK: {"k": 5}, AbsTopK: {"k": 5}}.get(kind, {})
    if kind is Gated:
        more = {"b_gate": tensors.pop("b_enc"), **{name: 0.1 * draw(units) for name in ("b_mag", "r_mag")}}
    return kind(site, writes, **tensors, centred=writes is None, **more)


def tiny_model(family: str, seed: int = 0, scale: float = 0.3, **config: object) -> Model:
    """A random model of a family with weights large enough that everything matters, float64."""
    import importlib

    torch.manual_seed(seed)
    module: PreTrainedModel = importlib.import_module(f"clew.models.architectures.{family}").ARCHITECTURE.tiny()
    if config:
        module = type(module)(type(module.config)(**{**module.config.to_dict(), **config}))
    for p in module.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=scale)
    return Model(Body(module.double().eval(), None, family))


def random_behaviour(n: int = 3, length: int = 4, vocab: int = 97, seed: int = 0) -> Behaviour:
    """Prompts of random tokens whose patch differs at position 1."""
    g = torch.Generator().manual_seed(seed)
    clean = torch.randint(3, vocab, (n, length), generator=g)
    patch = clean.clone()
    patch[:, 1] = (clean[:, 1] + 7) % (vocab - 3) + 3
    return behaviour_of(clean, patch, torch.arange(5, 5 + n), torch.arange(20, 20 + n))
