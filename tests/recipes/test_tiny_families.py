"""Tiny models of every family: small, at random all through, the same each time, and with every kind of block."""

import pytest
import torch

from tests.recipes.recipe import recipe

tiny_families = recipe("tiny_families")


@pytest.mark.parametrize("kind", ["gpt2", "olmo", "lfm2"])
def test_a_model_is_small_and_every_parameter_of_it_random(kind):
    module, again = tiny_families.build(kind), tiny_families.build(kind)
    assert not module.training and sum(p.numel() for p in module.parameters()) < 100_000
    for (name, p), other in zip(module.named_parameters(), again.parameters(), strict=True):
        assert p.dtype == torch.float32 and torch.equal(p, other), name
        assert p.numel() == 1 or len(p.unique()) > p.numel() / 2, name


def test_a_list_of_what_each_block_is_holds_every_kind():
    default = {
        "layer_types": ["a"] * 5 + ["b"],
        "mlp_layer_types": ["d"] + ["s"] * 5,
        "num_hidden_layers": 6,
        "n": [1, 2],
    }
    made = tiny_families.blocks(default)
    assert made == {"layer_types": ["a", "b", "a"], "mlp_layer_types": ["d", "s", "s"], "num_hidden_layers": 3}
    four = tiny_families.blocks({"layer_types": list("abcd"), "num_layers": 60})
    assert four == {"layer_types": list("abcd"), "num_layers": 4}
    assert tiny_families.blocks({"vocab_size": 7}) == {}


def test_a_config_inside_another_is_small_too_and_the_text_of_it_is_what_a_class_for_text_takes():
    outer, inner = tiny_families.config_of("gemma3"), tiny_families.config_of("qwen3_5")
    assert outer.text_config.hidden_size == outer.vision_config.hidden_size == inner.hidden_size == 32
    assert outer.text_config.layer_types == ["sliding_attention", "full_attention", "sliding_attention"]
    assert inner.model_type == "qwen3_5_text" and set(inner.layer_types) == {"linear_attention", "full_attention"}


def test_what_a_single_family_needs_is_of_families_and_fields_that_there_are():
    configs = tiny_families.CONFIG_MAPPING
    assert set(tiny_families.NEEDS) <= set(configs)
    assert tiny_families.config_of("jamba").attn_layer_period == 2
