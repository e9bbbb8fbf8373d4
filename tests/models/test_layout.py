"""What a layout says of a block."""

from dataclasses import replace

from clew.models.layout import Layout, Map, Part

MAPS = {part: Map(f"self_attn.{part}_proj") for part in "qkv"}
ATTENTION = Part("attn", "self_attn", "self_attn", projection="self_attn.o_proj", maps=MAPS, heads=(4, 2))
MLP = Part("mlp", "mlp", "mlp", after=1)


def test_blocks_may_differ():
    layout = Layout("layers", "norm", "lm_head", ((ATTENTION, MLP), (Part("mixer", "conv"),)))
    assert layout.part("attn", 0) is ATTENTION and layout.part("mlp", 0) is MLP
    assert layout.part("attn", 1) is None and layout.adds_up
    assert not replace(layout, parts=((replace(MLP, norm_after="ln"),),)).adds_up


def test_an_attention_is_by_heads_where_all_of_it_is_linear_maps_of_what_it_reads():
    low_rank = replace(ATTENTION, maps=MAPS | {"q": Map("self_attn.q_b_proj", latent=True)})
    keyless = replace(ATTENTION, maps={"q": MAPS["q"], "v": MAPS["v"]})
    joined = replace(ATTENTION, projection="")
    assert ATTENTION.by_heads and not any(part.by_heads for part in (low_rank, keyless, joined, MLP))


def test_an_attention_is_called_by_the_owner_of_its_projection_unless_it_is_said():
    assert ATTENTION.caller == "self_attn" and replace(ATTENTION, attends="self_attn.inner").caller == "self_attn.inner"
