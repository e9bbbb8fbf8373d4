"""A frozen run has the values of the model and the gradient of a linear map."""

import pytest
import torch

from clew.changes import Add
from clew.models.frozen import _parts
from clew.sites import Site, Where
from tests.models.gpt2_by_hand import frozen_gpt2
from tests.models.tiny import FAMILIES, model_of, prompts

LINEAR = [f for f in FAMILIES if f != "falcon"]  # which shows no patterns


def leaves(model):
    return [*model.sites("embed"), *model.sites("mlp")]


def frozen(model, tokens):
    return model.run(tokens, read=[*leaves(model), *model.sites("mlp_in", "final")], frozen=True, grad=True)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neo", "phi"])
def test_the_logits_of_a_frozen_run_are_those_of_the_model(family):
    model, tokens = model_of(family), prompts()
    assert torch.equal(frozen(model, tokens).logits.detach(), model.run(tokens).logits)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.body.module.modules())


@pytest.mark.parametrize("family", LINEAR)
def test_the_gradient_of_a_frozen_run_depends_on_none_of_its_values(family):
    model = model_of(family, torch.float64)
    trace = frozen(model, prompts())
    ends = [trace[s] for s in leaves(model)]
    direction = torch.randn(trace["final"].shape, dtype=torch.float64)
    first = torch.autograd.grad((trace["final"] * direction).sum(), ends, create_graph=True)
    assert all(g.abs().max() > 0 for g in first)
    squares = sum(g.square().sum() for g in first)
    second = torch.autograd.grad(squares, ends, allow_unused=True) if squares.requires_grad else [None]
    assert all(g is None for g in second)


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_without_biases_what_is_read_is_the_sum_of_what_is_written_times_its_gradient(family):
    model = model_of(family, torch.float64)
    trace = frozen(model, prompts())
    for site in [*model.sites("mlp_in"), *model.sites("final")]:
        direction = torch.randn(trace[site].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        y = (trace[site] * direction).sum()
        grads = torch.autograd.grad(y, [trace[s] for s in leaves(model)], retain_graph=True, allow_unused=True)
        total = sum((g * trace[s]).sum() for g, s in zip(grads, leaves(model), strict=True) if g is not None)
        torch.testing.assert_close(total, y, rtol=1e-9, atol=1e-9)


def test_the_gradient_is_the_change_of_a_gpt2_held_by_hand():
    model, tokens = model_of("gpt2", torch.float64), prompts()
    trace, clean = frozen(model, tokens), model.run(tokens, read=model.body.taps)
    more = torch.randn(clean["mlp.0"].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    same = frozen_gpt2(model, clean, clean["embed"], lambda i, x: clean[f"mlp.{i}"])
    moved = frozen_gpt2(model, clean, clean["embed"], lambda i, x: clean[f"mlp.{i}"] + (more if i == 0 else 0))
    torch.testing.assert_close(same["final"], trace["final"].detach(), rtol=1e-9, atol=1e-9)
    grad = torch.autograd.grad(trace["final"][:, -1, 5].sum(), trace["mlp.0"])[0]
    change = (moved["final"] - same["final"])[:, -1, 5]
    torch.testing.assert_close((grad * more).sum((1, 2)), change, rtol=1e-9, atol=1e-9)


def test_an_edit_acts_in_a_frozen_run_too():
    model, tokens = model_of("llama"), prompts()
    edit = Add(Site("mlp", 1), vector=torch.ones(32), where=Where.at(-1))
    run = model.run(tokens, edits=[edit], frozen=True)
    assert torch.equal(run.logits, model.run(tokens, edits=[edit]).logits)


def test_a_norm_is_known_by_what_it_does():
    x = torch.randn(2, 3, 9, dtype=torch.float64)
    layer, rms = torch.nn.LayerNorm(9).double(), torch.nn.RMSNorm(9, eps=1e-6).double()
    with torch.no_grad():
        for p in [*layer.parameters(), *rms.parameters()]:
            p.normal_()
    for norm, centres in ((layer, True), (rms, False)):
        weight, bias, found = _parts(norm, x)
        ratio = weight / norm.weight
        assert found is centres
        torch.testing.assert_close(ratio, ratio[:1].expand(9), rtol=1e-9, atol=0)
        torch.testing.assert_close(bias, norm.bias if centres else torch.zeros_like(bias))


def test_a_model_that_hides_its_patterns_is_refused():
    with pytest.raises(ValueError, match="falcon.* shows no pattern"):
        model_of("falcon").run(prompts(), frozen=True)
