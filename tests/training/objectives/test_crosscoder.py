"""Crosscoders: several sites, one code."""

import pytest
import torch

from clew.dictionaries import Crosscoder
from clew.training import Plan, train
from clew.training.objective import Clock, Scaling
from clew.training.objectives.crosscoder import crosscoder
from clew.training.objectives.crosscoder_l1 import crosscoder_l1
from tests.training.planted_rows import WIDTHS, rows, two_sites


def started(made, **options):
    """In float64, with biases that are not 0; and its rows."""
    x = torch.cat(two_sites(200)[:2], dim=1).double()
    fit = made(units=24, **options)
    fit.place(WIDTHS, WIDTHS)
    fit.start(x, x, torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(1)
    fit.tensors["b_enc"] += 0.1 * torch.randn(24, generator=g, dtype=torch.float64)
    for tensor in fit.tensors.values():
        tensor.requires_grad_()
    return fit, x


@pytest.mark.parametrize(
    ("made", "options"), [(crosscoder, {"k": 3, "half": False}), (crosscoder_l1, {"penalty": 0.3})]
)
def test_the_loss_and_its_gradient_are_those_of_the_formula(made, options) -> None:
    fit, x = started(made, **options)
    t = fit.tensors
    p = ((x - t["b_dec"]) @ t["W_enc"].T + t["b_enc"]).relu()
    rank = p * sum(part.norm(dim=1) for part in t["W_dec"].split([12, 9], dim=1))
    code = torch.where(rank >= rank.flatten().topk(600).values[-1], p, 0) if "k" in options else p
    variance = (x - x.mean(0)).square().sum(1).mean()
    plain = (code @ t["W_dec"] + t["b_dec"] - x).square().sum(1).mean() / variance
    plain = plain + (0.3 * rank.sum(1).mean() / variance.sqrt() if "penalty" in options else 0)
    found = fit.loss(x, x, Clock(1, 1))
    assert float(found.detach()) == pytest.approx(float(plain.detach()), rel=1e-10)
    for mine, theirs in zip(*(torch.autograd.grad(a, list(t.values())) for a in (found, plain)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_a_step_keeps_the_sum_of_lengths_and_the_gradient_does_not_work_against_that() -> None:
    fit, _ = started(crosscoder, k=3)
    rows = fit.tensors["W_dec"].detach()
    fit.tensors = {"W_dec": rows}
    torch.testing.assert_close(fit.length(rows), torch.ones(24, dtype=torch.float64))
    gradients = {"W_dec": torch.randn(24, 21, generator=torch.Generator().manual_seed(2), dtype=torch.float64)}
    fit.adjust(gradients)
    after = fit.length(rows + 1e-6 * gradients["W_dec"])
    assert (after - 1).abs().max() < 1e-8  # of second order in the step
    rows *= 3
    fit.settle(Clock(1, 1))
    torch.testing.assert_close(fit.length(rows), torch.ones(24, dtype=torch.float64))


@pytest.mark.parametrize(
    ("made", "options"), [(crosscoder, {"k": 3, "half": False}), (crosscoder_l1, {"penalty": 0.3})]
)
def test_the_finished_dictionary_says_of_raw_rows_what_the_objective_says_of_scaled_ones(made, options) -> None:
    fit, x = started(made, **options)
    if "k" in options:  # a threshold that chooses the same units as the batch did
        fit.loss(x, x, Clock(1, 1))
        fit.state["threshold"] *= 1 - 1e-9
    scale = torch.cat([torch.full((12,), 7.0), torch.full((9,), 0.3)]).double()
    scaling = Scaling(torch.randn(21, generator=torch.Generator().manual_seed(3)).double(), scale)
    with torch.no_grad():
        done = fit.finish(list(WIDTHS), list(WIDTHS), scaling, scaling)
        raw = scaling.centre + scale * x
        torch.testing.assert_close(done.reconstruct(raw), scaling.centre + scale * fit.reconstruct(x))
        # The mean scale is the unit of a code, so lengths come back by as much smaller.
        torch.testing.assert_close(done.norms().sum(1) * scaling.size, torch.ones(24, dtype=torch.float64))


def test_planted_units_of_one_site_and_of_both_are_told_apart() -> None:
    one, two, *directions = two_sites(6000)
    plan = Plan("crosscoder", list(WIDTHS), options={"units": 36, "k": 2, "half": False})
    (made,) = train({"resid.1": 3 * one + 1, "resid.2": 70 * two}, [plan], steps=300, batch=256)
    assert isinstance(made, Crosscoder)
    written = torch.nn.functional.normalize(made.W_dec / torch.tensor([3.0] * 12 + [70.0] * 9), dim=1)
    match, unit = (torch.nn.functional.normalize(torch.cat(directions, 1), dim=1) @ written.T).max(dim=1)
    assert match.median() > 0.85
    a, b = made.norms().T
    relative = (((b - a) / torch.maximum(a, b) + 1) / 2)[unit]
    assert relative[:6].median() < 0.25 and relative[6:12].median() > 0.75
    assert 0.3 < relative[12:].median() < 0.7


def test_one_site_is_no_crosscoder() -> None:
    with pytest.raises(ValueError, match=r"at least two sites; it was given resid.1 alone"):
        train({"resid.1": rows(99)[0]}, [Plan("crosscoder", "resid.1", options={"units": 4, "k": 2})], steps=1)
