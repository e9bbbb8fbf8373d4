import pytest
import torch

from clew.edits.components.scale_head import scale_head
from tests.models.tiny import model_of
from tests.planted import random_behaviour, tiny_model

TEXT = "the nurse said that she"


def test_one_query_head_moves_though_two_share_its_values():
    model = model_of("llama", torch.float64)
    assert model.body.n_heads == 2 * model.body.n_kv_heads
    plain, moved = (
        m.run(TEXT, read=["v.1", "head.1"])
        for m in (model, model.edited(scale_head(model, layer=1, head=2, factor=-3.0)))
    )
    expected = plain["head.1"].clone()
    expected[..., 16:24] *= -3.0  # heads are 8 wide
    assert torch.equal(moved["head.1"], expected) and torch.equal(moved["v.1"], plain["v.1"])


def test_what_the_attention_adds_moves_in_proportion():
    model = model_of("llama", torch.float64)
    at = {f: model.edited(scale_head(model, layer=1, head=2, factor=f)).run(TEXT, read=["attn.1"])["attn.1"]
          for f in (0.0, 1.0, 4.0)}  # fmt: skip
    assert torch.equal(at[1.0], model.run(TEXT, read=["attn.1"])["attn.1"])
    assert torch.allclose(at[4.0] - at[0.0], 4 * (at[1.0] - at[0.0]), atol=1e-12)


def test_of_several_factors_the_behaviour_chooses():
    model, task = tiny_model("llama"), random_behaviour()
    (batch,) = task.batches(model)
    metric = {
        f: float(task.metric(model.edited(scale_head(model, layer=2, head=1, factor=f)).run(batch.clean), batch).mean())
        for f in (-3.0, 0.0, 1.0, 6.0)
    }
    stack = scale_head(model, task, layer=2, head=1, factor=list(metric))
    assert stack[0].factor == max(metric, key=lambda f: metric[f])
    assert stack.about["metric"]["-3"] == pytest.approx(metric[-3.0])


def test_a_head_that_is_not_there_and_a_choice_without_a_judge_are_refused():
    model = model_of("llama")
    with pytest.raises(ValueError, match="no head 4 in layer 1 of tiny llama, which has 3 layers of 4 heads"):
        scale_head(model, layer=1, head=4)
    with pytest.raises(ValueError, match="is for a behaviour to say"):
        scale_head(model, layer=1, head=3, factor=(0.0, 2.0))
