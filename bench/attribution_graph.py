r"""How fast is an attribution graph, and is it circuit-tracer's? Against circuit-tracer 0.5.0 (PyPI), in one process.

Environment: python 3.11, torch 2.13.0 on a CPU; a venv of its own, since circuit-tracer holds transformers below 5:
    python -m venv tracer-env && tracer-env/bin/pip install torch==2.13.0 circuit-tracer==0.5.0
Run, after clew.open("smollm2-135m") has put the model into the cache, with its folder there:
    MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000 OMP_NUM_THREADS=1 PYTHONPATH=. \
        tracer-env/bin/python bench/attribution_graph.py FOLDER [NODES ROWS]
The two MALLOC settings keep freed memory in the process; without them circuit-tracer took nearly twice as long here.

SmolLM2-135M (30 layers), one transcoder per layer of 1024 random ReLU units (a threshold at 1.5 standard deviations,
about 7 % active), an IOI prompt behind a special token, float32, one thread. Both see the same tensors and
stop before pruning. Theirs runs through TransformerLens, whose logits differ from those of transformers by float32
rounding, so that features may be ranked otherwise where influences tie; equal means on the features both chose.
"""

import sys
from pathlib import Path

import torch
from circuit_tracer.attribution.attribute import attribute
from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder, TranscoderSet
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_llama_weights
from transformers import AttentionInterface, AutoModelForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).parent))
from _log import log, peak_gib, seconds

from clew import Model
from clew.dictionaries import ReLU
from clew.methods.graphs._direct import Direct
from clew.methods.graphs.attribution_graph import _feature_rows, _logits
from clew.models.body import Body

UNITS = 1024
PROMPT = "Then, Mary and John went to the store. John gave a drink to"


def peer(module: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, view: Model) -> TransformerLensReplacementModel:
    """Their replacement model with the weights of ours, made without a hub."""
    c = module.config
    config = HookedTransformerConfig(
        n_layers=c.num_hidden_layers, d_model=c.hidden_size, n_ctx=64, d_head=c.hidden_size // c.num_attention_heads,
        n_heads=c.num_attention_heads, n_key_value_heads=c.num_key_value_heads, d_mlp=c.intermediate_size,
        d_vocab=c.vocab_size, act_fn="silu", normalization_type="RMS", positional_embedding_type="rotary",
        rotary_base=int(c.rope_theta), rotary_dim=c.hidden_size // c.num_attention_heads, rotary_adjacent_pairs=False,
        final_rms=True, gated_mlp=True, eps=c.rms_norm_eps, original_architecture="LlamaForCausalLM",
        model_name="smollm2-135m", device="cpu", dtype=torch.float32,
    )  # fmt: skip
    made = {}
    for site, ours in view.dictionaries.items():
        theirs = SingleLayerTranscoder(
            c.hidden_size, UNITS, torch.nn.functional.relu, site.layer, dtype=torch.float32, device=torch.device("cpu")
        )
        for name, value in (("W_enc", ours.W_enc.T), ("W_dec", ours.W_dec), ("b_enc", ours.b_enc)):
            getattr(theirs, name).data.copy_(value)
        made[site.layer] = theirs
    feeds = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "hook_mlp_out"}
    model = TransformerLensReplacementModel.from_config(config, TranscoderSet(made, **feeds))
    model.tokenizer = tokenizer  # given to the constructor, it would be looked up on the hub
    known, weights = model.state_dict(), convert_llama_weights(module, model.cfg)
    for name, value in weights.items():
        for spelt in (name, name.replace(".mlp.", ".mlp.old_mlp."), name.replace("unembed.", "unembed.old_unembed.")):
            if spelt in known:
                known[spelt].copy_(value)
    return model


def ours(view: Model, tokens: torch.Tensor, nodes: int, rows: int) -> tuple[Direct, torch.Tensor, torch.Tensor]:
    """What attribution_graph computes before pruning, without the row of the metric, which circuit-tracer has not."""
    direct = Direct(view, tokens, skip=1)
    outputs = _logits(direct, 0.95, 10)
    chosen, table = _feature_rows(direct, outputs, nodes, rows)
    others = torch.arange(len(direct.feature), direct.n_sources)
    source = torch.cat([chosen, others])
    return direct, chosen, torch.cat([table[:, source], outputs.rows[:, source]])


def compare(direct: Direct, chosen: torch.Tensor, A: torch.Tensor, theirs) -> tuple[float, float, int]:
    """Largest and mean |difference| relative to the largest |entry|, over the features of both; how many those are."""
    mine = [tuple(f) for f in direct.feature[chosen].tolist()]
    other = [tuple(f) for f in theirs.active_features[theirs.selected_features].tolist()]
    both = sorted(set(mine) & set(other))
    here, there = [mine.index(f) for f in both], [other.index(f) for f in both]
    rest, k = A.shape[1] - len(mine), len(A) - len(mine)
    one = A[here + list(range(len(mine), len(A)))][:, here + list(range(len(mine), len(mine) + rest))]
    table = theirs.adjacency_matrix
    columns = there + list(range(len(other), len(other) + rest))
    two = table[there + list(range(len(table) - k, len(table)))][:, columns]
    apart = (one - two).abs() / two.abs().max()
    return float(apart.max()), float(apart.mean()), len(both)


def main(folder: str, nodes: int, rows: int) -> None:
    module = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    end = "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=f"{folder}/tokenizer.json", bos_token=end, eos_token=end, pad_token=end
    )
    model = Model(Body(module, tokenizer, "smollm2-135m"))
    ids = [tokenizer.bos_token_id, *tokenizer(PROMPT)["input_ids"]]
    tokens = torch.tensor([ids])
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    d = module.config.hidden_size
    trace = model.run(tokens, read=model.sites("mlp_in"), logits=0)
    made = []
    for i in range(model.n_layers):
        W = draw(d, UNITS) / trace[f"mlp_in.{i}"][0, 1:].norm(dim=-1).mean()
        b = torch.full((UNITS,), -1.5)
        made.append(
            ReLU(
                f"mlp_in.{i}",
                f"mlp.{i}",
                W_enc=W,
                b_enc=b,
                W_dec=0.1 * draw(UNITS, d),
                b_dec=torch.zeros(d),
                centred=False,
            )
        )
    view = model.through(*made)
    replaced = peer(module, tokenizer, view)
    with torch.no_grad():
        apart = float((replaced(tokens) - module(tokens).logits).abs().max())
    kept: dict[str, object] = {}

    def theirs() -> None:
        kept["theirs"] = attribute(tokens[0], replaced, batch_size=rows, max_feature_nodes=nodes)

    def mine() -> None:
        kept["ours"] = ours(view, tokens, nodes, rows)

    fast, slow = seconds(mine, theirs, rounds=2)
    direct, chosen, A = kept["ours"]
    most, mean, both = compare(direct, chosen, A, kept["theirs"])
    log(
        f"Attribution graph of {nodes} features against circuit-tracer 0.5.0: SmolLM2-135M, {UNITS} random units a layer",
        [
            ("", "CPU-seconds"),
            ("clew", f"{fast:.2f}"),
            ("circuit-tracer", f"{slow:.2f}"),
            ("ratio", f"{slow / fast:.1f}"),
        ],
        f"{len(ids)} tokens, {len(direct.feature)} active features, {rows} rows a pass. {both} of {len(chosen)} features are "
        f"in both graphs; there the adjacency differs by {most:.1e} of its largest entry at most, {mean:.1e} on average. "
        f"Logits of the two models differ by {apart:.1e}. Peak memory of both together {peak_gib():.1f} GiB.",
    )


if __name__ == "__main__":
    if not hasattr(AttentionInterface, "get_interface"):  # clew runs on transformers 5; this is all it misses here
        AttentionInterface.get_interface = lambda self, name, default: self.get(name, default)  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    main(sys.argv[1], *(int(a) for a in sys.argv[2:4] or (256, 32)))
