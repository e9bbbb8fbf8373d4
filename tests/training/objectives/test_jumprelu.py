import pytest
import torch

from clew.training import Plan, train
from clew.training.objective import Clock
from clew.training.objectives._coder import Coder
from clew.training.objectives.jumprelu import jumprelu
from tests.training.planted_rows import rows

NOW = Clock(50, 100)


def started(x: torch.Tensor, **options: float) -> Coder:
    fit = jumprelu(units=24, **options)
    fit.start(x, x, torch.Generator().manual_seed(0))
    for tensor in fit.tensors.values():
        tensor.requires_grad_()
    return fit


@pytest.mark.parametrize("options", [{"l0": 3.0}, {"penalty": 0.02}])
def test_thresholds_get_the_straight_through_gradient_of_the_paper(options):
    x = rows(200)[0].double()
    fit = started(x, **options)
    pace = 0.03 / fit.lr
    fit.tensors["log_threshold"].data -= 0.2 / pace
    t = fit.tensors
    theta = (pace * t["log_threshold"].detach()).exp()
    p = ((x - t["b_dec"]) @ t["W_enc"].T + t["b_enc"]).detach()
    on, near = (p > theta).double(), ((p - theta).abs() < 0.25).double() / 0.5
    error = ((p * on) @ t["W_dec"] + t["b_dec"] - x).detach()
    on_value = 2 / len(x) / fit.state["variance"] * error @ t["W_dec"].detach().T
    l0 = on.sum(1).mean()
    on_l0 = 2 * (l0 / 3 - 1) / 3 if "l0" in options else torch.tensor(0.02, dtype=torch.float64)
    expected = -(on_value * theta * near).sum(0) - on_l0 * near.sum(0) / len(x)
    (found,) = torch.autograd.grad(fit.loss(x, x, NOW), t["log_threshold"])
    torch.testing.assert_close(found, expected * theta * pace, rtol=1e-9, atol=1e-12)
    price = (l0 / 3 - 1).square() if "l0" in options else 0.02 * l0
    assert float(fit.loss(x, x, NOW).detach()) == pytest.approx(fit.told["unexplained"] + float(price), rel=1e-9)


def test_as_many_units_are_on_as_were_asked_for_from_the_start_to_the_end():
    x = rows(4000)[0]
    fit = started(x, l0=2.0)
    fit.loss(x, x, NOW)
    assert fit.told["l0"] == pytest.approx(2, rel=0.1)
    for l0 in (1.5, 4.0):
        plan = Plan("jumprelu", "resid.1", options={"units": 24, "l0": l0})
        (made,) = train({"resid.1": 9 * x}, [plan], steps=150, batch=256)
        assert (made.encode(9 * x) != 0).sum(1).float().mean() == pytest.approx(l0, rel=0.15)


@pytest.mark.parametrize("lr", [1e-5, 1e-2])
def test_thresholds_that_start_alike_move_by_their_own_rate_whatever_that_of_the_weights(lr):
    x = rows(2000)[0]
    assert started(x, penalty=0.1).tensors["log_threshold"].std() < 1e-4
    plan = Plan("jumprelu", "resid.1", options={"units": 24, "penalty": 0.1, "threshold_lr": 0.02, "lr": lr})
    (made,) = train({"resid.1": x}, [plan], steps=60, batch=256)
    assert (made.threshold / made.threshold.median()).log().abs().max() > 0.1


@pytest.mark.parametrize("options", [{}, {"l0": 2.0, "penalty": 0.1}])
def test_a_target_or_a_price_must_be_chosen(options):
    with pytest.raises(ValueError, match="choose one: units on at a row, or what one costs"):
        jumprelu(units=24, **options)


def test_a_target_above_the_number_of_units_is_refused():
    with pytest.raises(ValueError, match=r"l0 is 30.0; it must lie above 0 and not above the number of units, 24"):
        jumprelu(units=24, l0=30.0)
