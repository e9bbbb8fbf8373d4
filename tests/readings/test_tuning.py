"""Tuning: the first run is the unedited one, a linear map is learnt, nothing of the model moves."""

from dataclasses import replace

import pytest
import torch

from clew.changes import Add
from clew.readings.tuning import tune
from tests.models.tiny import model_of
from tests.planted import tiny_model

TOKENS = torch.tensor([[3, 4, 5, 6], [4, 5, 7, 8]])


def surprise(run, step):
    return torch.nn.functional.cross_entropy(run(TOKENS, logits=1)[:, -1], torch.tensor([9, 11]))


def _loss(model):
    return float(surprise(lambda tokens, logits: model.run(tokens, logits=logits).logits, 0))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("rank", [2, None])
def test_what_is_learnt_is_what_the_edited_model_runs(family, rank):
    model = tiny_model(family)
    bare, weights = model.run(TOKENS).logits, ["down.1", "q.1", "k.1", "v.1"]
    updates, history = tune(model, weights, surprise, rank=rank, steps=20, lr=0.02)
    first, last = _loss(model), _loss(model.edited(updates))
    assert history[0] == pytest.approx(first, rel=1e-12)
    assert last < history[-1] < 0.7 * history[0]
    assert torch.equal(model.run(TOKENS).logits, bare)
    assert not any(p.grad is not None for p in model.body.module.parameters())


def test_a_step_goes_down_the_slope():
    model = tiny_model("gpt2")
    (update,), history = tune(model, ["down.1"], surprise, rank=None, steps=1, lr=1.0)
    near = model.edited(replace(update, scale=1e-6))  # Adam's first step is lr times the sign of the gradient
    assert _loss(near) < history[0]
    assert (update.left.abs() > 0.99).double().mean() > 0.95


def test_a_loss_may_end_the_learning():
    updates, history = tune(
        tiny_model("llama"), ["down.0"], lambda run, step: surprise(run, step) if step < 3 else None
    )
    assert len(history) == 3 and updates[0].left.abs().sum() > 0


def test_bad_questions_are_refused():
    model = tiny_model("llama")
    with pytest.raises(ValueError, match="each once"):
        tune(model, ["down.0", "down.0"], surprise)
    with pytest.raises(ValueError, match="tune model.unedited"):
        tune(model.edited(Add("resid.0", vector=torch.ones(32))), ["down.0"], surprise)
    with pytest.raises(ValueError, match="smaller lr"):
        tune(model, ["down.0"], lambda run, step: surprise(run, step) * float("nan"))


def test_half_precision_is_tuned_in_float32():
    model = model_of("llama", torch.float16)
    updates, history = tune(model, ["down.1"], surprise, steps=20, lr=0.02)
    assert updates[0].left.dtype == torch.float32 and history[-1] < 0.9 * history[0]
