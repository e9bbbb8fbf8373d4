"""Every architecture, and every variant of it that its config allows, keeps every promise or is refused by name."""

import pytest
import torch
import transformers
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from clew.changes import Scale, Update
from clew.models import Model, open_model
from clew.models.body import Body
from clew.models.selfcheck import SelfCheck, cached_selfcheck, known_refusals, selfcheck
from tests.models.kinds import KINDS, kind_of
from tests.models.tiny import FAMILIES, model_of, module_of, prompts, record, sharp

WIDE = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "vocab_size": 97}
LLAMA = WIDE | {"num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64}
GPT2 = {"n_embd": 32, "n_head": 4, "n_layer": 3, "n_positions": 64, "vocab_size": 97}
NEOX = WIDE | {"intermediate_size": 64, "max_position_embeddings": 64}
OPT = WIDE | {"ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 64}
GEMMA = LLAMA | {"head_dim": 16, "sliding_window": 5, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}
BLOOM = {"hidden_size": 32, "n_head": 4, "n_layer": 3, "vocab_size": 97}

VARIANTS = {
    "neox sequential": ("GPTNeoX", NEOX | {"use_parallel_residual": False}),
    "neox without biases": ("GPTNeoX", NEOX | {"attention_bias": False, "rotary_pct": 0.5}),
    "falcon grouped": ("Falcon", WIDE | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon grouped, one norm": (
        "Falcon", WIDE | {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1},
    ),
    "falcon multi head": ("Falcon", WIDE | {"multi_query": False}),
    "falcon alibi sequential": (
        "Falcon", WIDE | {"alibi": True, "parallel_attn": False, "multi_query": False, "bias": True},
    ),
    "gpt2 inverse layer": ("GPT2LMHead", GPT2 | {"scale_attn_by_inverse_layer_idx": True}),
    "gpt2 unscaled": ("GPT2LMHead", GPT2 | {"scale_attn_weights": False}),
    "phi with norms": ("Phi", NEOX | {"qk_layernorm": True}),
    "olmo clipped": ("Olmo", LLAMA | {"clip_qkv": 0.3}),
    "llama with biases": ("Llama", LLAMA | {"attention_bias": True, "mlp_bias": True}),
    "llama with wide heads": ("Llama", LLAMA | {"head_dim": 16}),
    "gemma2 capped": ("Gemma2", GEMMA),
    "gemma3 capped": ("Gemma3Text", GEMMA),
    "mistral, window below the prompt": ("Mistral", LLAMA | {"sliding_window": 3, "head_dim": 8}),
    "qwen2 with windows": ("Qwen2", LLAMA | {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
}  # fmt: skip


def build(kind: str, options: dict) -> PreTrainedModel:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind.removesuffix('LMHead')}Config")(**options)
    model = f"{kind}Model" if kind == "GPT2LMHead" else f"{kind.removesuffix('Text')}ForCausalLM"
    return sharp(getattr(transformers, model)(config))


def broken(check: SelfCheck) -> list[str]:
    return [str(f) for f in check.findings if not f.holds]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_architecture_keeps_every_promise(family):
    module = sharp(record(family).tiny())
    names = [module.config._attn_implementation, "eager"]
    for implementation in dict.fromkeys(names):
        module.set_attn_implementation(implementation)
        assert broken(selfcheck(Body(module, None, family))) == [], implementation


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_keeps_every_promise(name):
    assert broken(selfcheck(Body(build(*VARIANTS[name]), None, name))) == []


@pytest.mark.parametrize("name", KINDS)
def test_every_other_kind_keeps_every_promise_but_the_cache_of_state_spaces(name):
    check = selfcheck(Body(kind_of(name, torch.float32), None, name))
    assert [f.name for f in check.findings if not f.holds] == (["cache"] if name == "state spaces" else [])


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_bit_identical_with_every_site_read(family):
    model = model_of(family)
    tokens = torch.arange(3, 19).view(2, 8)
    with torch.no_grad():
        bare = model.body.module(input_ids=tokens, use_cache=False).logits
    trace = model.run(tokens, read=model.sites())
    assert trace.logits is not None and torch.equal(trace.logits, bare)
    assert set(trace.values) == set(model.sites())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_promises(dtype):
    for family in ("llama", "gpt2", "gpt_neox"):
        assert broken(selfcheck(Body(record(family).tiny().eval().to(dtype), None, family))) == []


@pytest.mark.parametrize(
    ("kind", "options", "field"),
    [
        ("OPT", OPT | {"do_layer_norm_before": False}, "do_layer_norm_before"),
        (
            "Bloom",
            BLOOM | {"apply_residual_connection_post_layernorm": True},
            "apply_residual_connection_post_layernorm",
        ),
        (
            "Falcon",
            WIDE | {"apply_residual_connection_post_layernorm": True},
            "apply_residual_connection_post_layernorm",
        ),
        ("GPT2LMHead", GPT2 | {"add_cross_attention": True}, "add_cross_attention"),
    ],
)
def test_a_config_field_that_nobody_understands_is_refused_by_name(kind, options, field):
    with pytest.raises(ValueError, match=f"sets {field}=.*(understands|does not read)"):
        Body(build(kind, options), None, "odd")


def test_a_module_without_the_parts_of_its_record_is_refused():
    with pytest.raises(ValueError, match=r"final_layer_norm"):
        Body(build("OPT", OPT | {"_remove_final_layer_norm": True}), None, "odd")


def test_a_stream_with_something_else_in_it_refuses_what_is_written_there():
    module = module_of("llama")
    layer = module.model.layers[1]
    layer.register_forward_hook(lambda m, args, output: 1.5 * output)
    body = Body(module, None, "odd")
    body.refused.update(refusals(body))
    assert set(body.refused) == {"writes attn.1", "writes mlp.1"}
    with pytest.raises(
        ValueError, match=r"not what joins the stream.*: mlp\.1 \(off by .*Leave it out, all that is not named"
    ):
        body.site("mlp.1")
    assert str(body.site("mlp.0")) == "mlp.0" and str(body.site("resid.1")) == "resid.1"
    model = Model(body)
    assert model.heads().run(prompts(), read=model.sites()).logits is not None
    with pytest.raises(ValueError, match=r"mlp\.1"):
        model.components()


def refusals(body: Body) -> dict[str, str]:
    return {name: why for finding in selfcheck(body).findings for name, why in finding.refusals.items()}


def attending(monkeypatch, attend, mask=None, **options) -> PreTrainedModel:
    """A tiny Mistral with an attention of its own, and the masks that transformers makes for it, if any."""
    name = attend.__name__
    monkeypatch.setitem(AttentionInterface._global_mapping, name, attend)
    if mask is not None:
        monkeypatch.setitem(AttentionMaskInterface._global_mapping, name, mask)
    module = build("Mistral", LLAMA | {"sliding_window": None, "head_dim": 8} | options)
    module.config._attn_implementation = name
    return module


def test_a_site_that_cannot_be_read_is_refused_and_the_rest_of_the_model_opens(tmp_path, monkeypatch):
    """GPT-2's reordered attention is none of transformers' interface, and gives way to it while patterns are shown."""
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    module = build("GPT2LMHead", GPT2 | {"reorder_and_upcast_attn": True})
    module.set_attn_implementation("eager")
    model = open_model(module)
    assert set(model.body.refused) == {f"exact pattern.{i}" for i in range(3)}
    with pytest.raises(ValueError, match=r"Reading this site changes what the model computes: pattern\.1 \(off by"):
        model.run(prompts(), read=["pattern.1"])
    read = model.run(prompts(), read=model.sites())
    assert {s.part for s in model.sites()} == {s.part for s in model.body.taps} - {"pattern"}
    assert torch.equal(read.logits, module(prompts(), use_cache=False).logits)
    assert model.components().run(prompts()).logits is not None
    (line,) = [line for line in selfcheck(model.body).lines if line.startswith("REFUSED")]
    assert "\n         pattern.2: off by" in line


def test_a_pattern_is_refused_in_the_layer_where_it_is_wrong(monkeypatch):
    def bent(module, query, *rest, **more):
        out, _ = sdpa_attention_forward(module, query, *rest, **more)
        return out * (1.1 if module.layer_idx == 1 else 1.0), None

    assert set(refusals(Body(attending(monkeypatch, bent, sdpa_mask), None, "odd"))) == {"pattern pattern.1"}


def test_a_check_that_fails_refuses_in_words(monkeypatch):
    """As under flex attention, whose mask is no tensor."""

    def blind(module, query, key, value, mask, **rest):
        return sdpa_attention_forward(module, query, key, value, None, is_causal=True, **rest)

    body = Body(attending(monkeypatch, blind, lambda **given: "a block mask"), None, "odd")
    refused = {name: why for name, why in refusals(body).items() if name != "padding"}
    assert set(refused) == {f"exact pattern.{i}" for i in range(3)}
    assert "(ValueError: the attention is given a str as its mask, from which no pattern" in refused["exact pattern.1"]


@pytest.mark.parametrize("window", [12, 100])
def test_prompts_exceed_the_windows(monkeypatch, window):
    """An attention that forgets its window is found out, behind it."""

    def wide(module, *given, sliding_window=None, **rest):
        return sdpa_attention_forward(module, *given, **rest)

    module = attending(monkeypatch, wide, sliding_window=window, max_position_embeddings=128)
    assert "pattern pattern.0" in refusals(Body(module, None, "odd"))


class Rounded(torch.nn.Linear):
    """Rounds what comes in, as layers with 8-bit activations do: no matrix says what it does."""

    def forward(self, x):
        return super().forward((x * 4).round() / 4)


def test_a_weight_that_is_no_matrix_is_refused_alone():
    module = module_of("llama")
    module.model.layers[1].mlp.down_proj.__class__ = Rounded
    model = Model(Body(module, None, "odd"))
    model.body.refused.update(refusals(model.body))
    assert set(model.body.refused) == {"weights down.1", "gradients"}
    with pytest.raises(ValueError, match=r"not what its address says.*: down\.1 \(off by"):
        model.body.linear("down.1")
    change = 0.1 * torch.ones_like(module.model.layers[2].mlp.down_proj.weight)
    assert model.edited([Update("down.2", left=change)]).run(prompts()).logits is not None
    with pytest.raises(ValueError, match=r"down\.1"):
        model.edited([Update("down.1", left=change)])


class Router(torch.nn.Linear):
    """Gives two things, as those of Llama 4 and Phi-3.5 do."""

    def forward(self, input):
        return super().forward(input), None


def test_a_linear_map_that_gives_several_things_is_no_reason_to_refuse_gradients():
    module = module_of("llama")
    module.model.layers[1].mlp.router = Router(4, 4)
    assert all(finding.holds for finding in selfcheck(Body(module, None, "routed")).findings)


def test_a_site_where_nothing_passes_is_refused_alone():
    """As in a block that calls a projection without its module."""
    module = module_of("llama")
    mlp = module.model.layers[2].mlp
    mlp.forward = lambda x: torch.nn.functional.linear(
        mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x), mlp.down_proj.weight
    )
    refused = refusals(Body(module, None, "odd"))
    assert set(refused) == {"exact neuron.2", "exact mlp_out.2", "weights down.2"}
    assert "neuron.2 (nothing passes there)" in refused["exact neuron.2"]


def test_edits_that_do_not_reach_the_logits_are_refused_where_they_are():
    """As in a block that calls a projection twice and goes on with what its hooks have not seen."""
    module = module_of("llama")
    mlp = module.model.layers[2].mlp

    def twice(x):
        hidden = mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)
        mlp.down_proj(hidden)
        return mlp.down_proj.forward(hidden)

    mlp.forward = twice
    model = Model(Body(module, None, "odd"))
    model.body.refused.update(refusals(model.body))
    assert set(model.body.refused) == {"edits neuron.2", "edits mlp_out.2"}
    assert model.run(prompts(), read=["neuron.2"], edits=[Scale("neuron.1", factor=0.0)]).logits is not None
    with pytest.raises(ValueError, match=r"do not reach the logits as they should: neuron\.2"):
        model.run(prompts(), edits=[Scale("neuron.2", factor=0.0)])


def test_a_vocabulary_of_three_is_enough():
    assert refusals(Body(build("Llama", LLAMA | {"vocab_size": 3}), None, "small")) == {}


def test_what_does_not_run_is_refused_in_words():
    module = module_of("llama")
    module.model.layers[1].register_forward_pre_hook(lambda m, args: 1 / 0)
    with pytest.raises(ValueError, match=r"odd does not run on random tokens \(ZeroDivisionError: division by zero\)"):
        selfcheck(Body(module, None, "odd"))


def test_a_pattern_that_sees_the_future_is_refused():
    body = Body(build("Gemma3Text", GEMMA | {"use_bidirectional_attention": True}), None, "odd")
    assert {"pattern", "cache"} <= {f.name for f in selfcheck(body).findings if not f.holds}


def test_what_is_not_a_number_does_not_hold():
    module = module_of("bloom", torch.float64)
    check = selfcheck(Body(module, None, "odd"))
    assert [f.name for f in check.findings if not f.holds] == [
        "padding"
    ]  # masked rows of this family are nan in float64


def test_the_same_promises_come_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    body = Body(module_of("bloom", torch.float64), None, "odd")
    first = cached_selfcheck(body)
    assert cached_selfcheck(body) == first and len(list((tmp_path / "selfcheck").iterdir())) == 1
    assert list(known_refusals(body)) == ["padding"] and not first.ok
    assert any(line.startswith("REFUSED  padding") for line in first.lines)


@pytest.mark.parametrize("change", [lambda text: text[:-9], lambda text: text.replace('"holds": true', '"holds": 1')])
def test_what_is_damaged_in_the_cache_is_checked_anew(tmp_path, monkeypatch, change):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    body = Body(module_of("bloom", torch.float64), None, "odd")
    first = cached_selfcheck(body)
    (kept,) = (tmp_path / "selfcheck").iterdir()
    whole = kept.read_text()
    kept.write_text(change(whole))
    assert cached_selfcheck(body) == first and kept.read_text() == whole


def test_the_same_weights_under_another_config_are_checked_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    for window in (3, 4):
        cached_selfcheck(Body(build("Mistral", LLAMA | {"sliding_window": window, "head_dim": 8}), None, "m"))
    assert len(list((tmp_path / "selfcheck").iterdir())) == 2


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama"])
def test_a_module_in_training_keeps_its_promises_and_so_do_its_weights_at_rest(family, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    module = module_of(family).train()
    while_learning = cached_selfcheck(Body(module, None, family))
    assert module.training and broken(while_learning) == []
    assert cached_selfcheck(Body(module.eval(), None, family)) == while_learning
    assert len(list((tmp_path / "selfcheck").iterdir())) == 1


def test_what_hooks_of_others_break_is_not_kept_for_the_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    module = module_of("llama")
    hook = module.model.layers[1].register_forward_hook(lambda m, args, output: 1.5 * output)
    assert set(known_refusals(Body(module, None, "odd"))) == {"writes attn.1", "writes mlp.1"}
    hook.remove()
    assert known_refusals(Body(module, None, "plain")) == {}


def test_without_a_place_for_the_cache_a_model_is_checked_each_time_and_that_is_said_once(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        assert known_refusals(Body(module_of("llama"), None, "plain")) == {}
    said = [r.getMessage() for r in caplog.records if "nothing is kept" in r.message]
    assert len(said) == 1 and said[0].startswith(f"nothing is kept in {tmp_path / 'file' / 'cache'} (")
    assert "Not a directory" in said[0] and said[0].endswith(
        "so work is done again each time; CLEW_CACHE names another"
    )
