"""Records: which families there are, and how fused projections are cut."""

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2Model

from clew.models.architecture import architecture_of, interleaved, side_by_side
from clew.models.body import Body
from tests.models.tiny import FAMILIES, model_of, module_of, record


def test_interleaved_by_hand():
    columns = interleaved(2, 2)
    assert {part: c.tolist() for part, c in columns.items()} == {
        "q": [0, 1, 6, 7],
        "k": [2, 3, 8, 9],
        "v": [4, 5, 10, 11],
    }


def test_side_by_side_by_hand():
    columns = side_by_side(4, 2)
    assert {part: c.tolist() for part, c in columns.items()} == {"q": [0, 1, 2, 3], "k": [4, 5], "v": [6, 7]}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_record_names_its_tiny_model_and_q_k_v_have_the_width_of_their_heads(family):
    body = Body(module_of(family), None, family)
    assert type(body.module).__name__ in record(family).classes
    d_head = body.widths[body.site("head.0")] // body.n_heads
    widths = [body.widths[body.site(f"{part}.0")] // d_head for part in "qkv"]
    assert widths == [body.n_heads, body.n_kv_heads, body.n_kv_heads]


@pytest.mark.parametrize("family", FAMILIES)
def test_whether_blocks_are_parallel_is_what_an_edit_shows(family):
    model = model_of(family)
    tokens = torch.arange(3, 9)[None]
    clean = model.run(tokens, read=["mlp.1"])
    module = model.body.taps[model.body.site("attn.1")].module
    handle = module.register_forward_hook(
        lambda m, args, out: (out[0] + 1.0 + torch.arange(out[0].shape[-1]), *out[1:]) if isinstance(out, tuple)
        else out + 1.0 + torch.arange(out.shape[-1])
    )  # fmt: skip
    moved = not torch.equal(model.run(tokens, read=["mlp.1"])["mlp.1"], clean["mlp.1"])
    handle.remove()
    assert moved != model.body.parallel


def test_a_family_without_a_record_is_refused_with_the_way_to_add_it():
    with pytest.raises(ValueError, match=r"'bert', which has no architecture record.*models/architectures"):
        architecture_of(
            BertForMaskedLM(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))
        )


def test_a_class_that_is_no_language_model_is_refused():
    with pytest.raises(ValueError, match="GPT2LMHeadModel"):
        architecture_of(GPT2Model(GPT2Config(n_embd=8, n_head=1, n_layer=1)))


def test_a_field_nobody_knows_is_named_with_its_value():
    module = module_of("opt")
    architecture_of(module)
    module.config.do_layer_norm_before = False
    with pytest.raises(
        ValueError, match=r"sets do_layer_norm_before=False, which changes the computation .*`understands`"
    ):
        architecture_of(module)
