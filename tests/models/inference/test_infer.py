"""Inference finds the record that we wrote by hand, leaves the module as it was, and says in words what it cannot find."""

from functools import partial

import pytest
import torch
import transformers

from clew.models.inference.infer import infer
from clew.models.layout import Map
from clew.models.state import configs_of
from tests.conformance.shape import untouched
from tests.models.kinds import kind_of
from tests.models.test_selfcheck import LLAMA, VARIANTS, build
from tests.models.tiny import FAMILIES, module_of, record, sharp
from tests.recipes.recipe import recipe

FUSED = ("falcon grouped", "falcon grouped, one norm", "falcon multi head", "falcon alibi sequential")
SEQUENTIAL = ("neox sequential", "phi with norms", "gemma2 capped", "llama with wide heads", "gpt2 unscaled")


def is_ours(module):
    return infer(module) == record(module.config.model_type).layout(module)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_inferred_is_the_record_that_we_wrote(family):
    assert is_ours(module_of(family))


@pytest.mark.parametrize("name", FUSED + SEQUENTIAL)
def test_so_are_the_columns_and_norms_of_its_variants(name):
    assert is_ours(build(*VARIANTS[name]))


def test_half_precision_shows_the_same():
    assert is_ours(module_of("llama", torch.bfloat16)) and is_ours(module_of("gpt_neox", torch.bfloat16))


def test_eager_attention_shows_the_same():
    module = module_of("llama")
    module.set_attn_implementation("eager")
    assert is_ours(module)


def test_the_module_is_as_it_was():
    module = module_of("llama")
    own = module.config._attn_implementation
    with untouched(module):
        infer(module)
    assert module.config._attn_implementation == own


def tiny(kind, **more):
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{"pad_token_id": 0} | LLAMA | more)
    return sharp(getattr(transformers, kind.removesuffix("Text") + "ForCausalLM")(config))


def test_a_norm_before_the_queries_of_all_heads_and_none_before_the_attention():
    attention = infer(tiny("Olmo2")).parts[0][0]
    assert (attention.norm, attention.reads, attention.write) == ("", "self_attn", "post_attention_layernorm")
    assert attention.maps == {part: Map(f"self_attn.{part}_proj") for part in "qkv"} and not attention.missing


def test_one_key_value_head_for_all_of_a_fused_projection():
    torch.manual_seed(0)
    config = transformers.GPTBigCodeConfig(n_embd=32, n_head=4, n_layer=2, n_positions=64, vocab_size=97)
    attention = infer(sharp(transformers.GPTBigCodeForCausalLM(config))).parts[0][0]
    columns = {"q": range(32), "k": range(32, 40), "v": range(40, 48)}
    assert attention.heads == (4, 1)
    assert attention.maps == {part: Map("attn.c_attn", tuple(some)) for part, some in columns.items()}


def zeroed():
    module = module_of("llama")
    for block in module.model.layers:
        torch.nn.init.zeros_(block.self_attn.o_proj.weight)
    return module


def mixing():
    """A Llama whose MLP hands each position the neurons of the one before, too."""
    module = module_of("llama")

    def forward(mlp, x):
        neurons = mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)
        before = torch.cat([torch.zeros_like(neurons[:, :1]), neurons[:, :-1]], 1)
        return mlp.down_proj(neurons + before)

    for block in module.model.layers:
        block.mlp.forward = partial(forward, block.mlp)
    return module


def with_another_input():
    """A Llama whose attention adds the first embedding to its values' input, unseen at its own door."""
    module, kept = module_of("llama"), {}
    module.model.embed_tokens.register_forward_hook(lambda m, args, out: kept.update(x=out))
    attn = module.model.layers[1].self_attn
    attn.v_proj.register_forward_hook(lambda m, args, out: out + kept["x"][..., :1])
    return module


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (zeroed, r"layers\.0\.self_attn\.o_proj gives nothing but zeros"),
        (partial(tiny, "Llama", vocab_size=9), "vocabulary of 9 tokens is too small"),
    ],
)
def test_what_cannot_be_inferred_is_said(make, why):
    with pytest.raises(ValueError, match=why):
        infer(make())


def said(layout):
    """Each part of each block in a word, with * where it has no heads or neurons."""
    return [" ".join(f"{p.kind}{'' if p.projection else '*'}" for p in parts) for parts in layout.parts]


@pytest.mark.parametrize(
    ("name", "blocks", "missing"),
    [
        ("factors", ["attn mlp"] * 3, set()),
        ("convolutions", ["mixer* mlp", "attn mlp", "mixer* mlp"], set()),
        ("state spaces", ["mixer*"] * 3, set()),
        ("both at once", ["attn mixer* mlp"] * 3, set()),
        ("experts", ["attn mlp*"] * 3, set()),
        ("gated heads", ["attn mlp", "attn mlp", "attn mlp*"], set()),
        ("sinks", ["attn mlp*"] * 3, set()),
        ("shared experts", ["attn shared mlp*"] * 3, set()),
        ("a gated shared expert", ["attn mlp*"] * 3, set()),
        ("norms in the stream", ["attn mlp"] * 3, set()),
        ("low-rank keys", ["attn mlp", "attn mlp*", "attn mlp*"], {"k"}),
    ],
)
def test_blocks_of_other_kinds_and_what_has_no_place_in_them(name, blocks, missing):
    layout = infer(kind_of(name))
    assert said(layout) == blocks
    assert {site for parts in layout.parts for part in parts for site in part.missing} == missing


def test_a_mixer_whose_input_is_not_found_has_no_neurons():
    (mixer,) = infer(recipe("tiny_families").build("zamba2")).parts[1]
    assert (mixer.kind, mixer.reads, mixer.projection) == ("mixer", "", "") and set(mixer.missing) == {"mixer_in"}


def test_a_config_inside_another_keeps_an_attention_of_its_own():
    module = recipe("tiny_families").build("got_ocr2")
    own = [config._attn_implementation for config in configs_of(module.config)]
    assert len(set(own)) == 2 and len(infer(module).parts) == 3
    assert [config._attn_implementation for config in configs_of(module.config)] == own


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("factor", [0.22, 1.4 / 40**0.5, 3.0])
def test_a_factor_is_the_one_that_the_block_multiplies_by(dtype, factor):
    parts = infer(kind_of("factors", dtype, residual_multiplier=factor)).parts
    found = {part.factor for block in parts for part in block}
    assert all(abs(f / factor - 1) < {torch.float64: 1e-15, torch.float32: 1e-7}.get(dtype, 1e-2) for f in found)


def test_what_a_part_reads_counts_the_parts_before_it():
    parts = infer(kind_of("both at once")).parts[1]
    assert [(part.kind, part.after, part.factor) for part in parts] == [
        ("attn", 0, 0.9),
        ("mixer", 0, 0.7),
        ("mlp", 2, 1.0),
    ]


def test_a_gate_may_be_the_rest_of_the_map_that_gives_the_queries():
    config = LLAMA | {"head_dim": 8, "layer_types": ["full_attention"] * 3, "pad_token_id": 0}
    torch.manual_seed(0)
    attention = infer(sharp(transformers.Qwen3_5ForCausalLM(transformers.Qwen3_5TextConfig(**config)))).parts[1][0]
    q, gate = (torch.arange(64).view(4, 2, 8)[:, i].flatten().tolist() for i in (0, 1))
    path = "self_attn.q_proj"
    assert (attention.maps["q"], attention.maps["gate"]) == (Map(path, tuple(q)), Map(path, tuple(gate)))
    assert (attention.gate, attention.gated, attention.pattern) == ("sigmoid", True, "interface")


def test_an_mlp_that_mixes_positions_is_a_mixer():
    assert said(infer(mixing())) == ["attn mixer*"] * 3


def test_heads_that_a_norm_joins_are_none():
    layout = infer(tiny("BitNet"))
    assert said(layout) == ["attn* mlp"] * len(layout.parts)
    assert "is not one head beside the other" in layout.parts[0][0].missing["head"]


def test_an_attention_that_reads_something_else_has_no_place_where_it_reads():
    attention = infer(with_another_input()).parts[1][0]
    assert attention.reads == "" and attention.maps == {} and attention.write == "self_attn"
    assert "does not follow from what self_attn reads alone" in attention.missing["attn_in"]


def test_positions_that_see_those_after_them_are_told_from_causal_ones():
    both = infer(tiny("Gemma3Text", use_bidirectional_attention=True, vocab_size=97))
    one = infer(tiny("Gemma3Text", vocab_size=97))
    assert (both.causal, both.answers) == (False, "mask") and (one.causal, one.answers) == (True, "next")
    assert both.parts == one.parts
