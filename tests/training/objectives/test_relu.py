import pytest
import torch

from clew.training import Plan, train
from clew.training.objective import Clock
from clew.training.objectives.relu import relu
from tests.training.planted_rows import rows


@pytest.mark.parametrize(("step", "share"), [(5, 0.5), (10, 1.0), (90, 1.0)])
def test_the_loss_is_the_squared_error_and_the_penalty_as_far_as_it_has_warmed_up(step, share):
    x = rows(200)[0].double()
    fit = relu(units=24, penalty=0.3, warm_up=0.1)
    fit.start(x, x, torch.Generator().manual_seed(0))
    t, variance = fit.tensors, (x - x.mean(0)).square().sum(1).mean()
    code = ((x - t["b_dec"]) @ t["W_enc"].T + t["b_enc"]).relu()
    error = (code @ t["W_dec"] + t["b_dec"] - x).square().sum(1).mean() / variance
    expected = error + share * 0.3 * (code * t["W_dec"].norm(dim=1)).sum(1).mean() / variance.sqrt()
    torch.testing.assert_close(fit.loss(x, x, Clock(step, 100)), expected, rtol=1e-12, atol=0)
    assert fit.told["l0"] == pytest.approx(float((code > 0).sum(1).double().mean()))


def test_more_penalty_leaves_fewer_units_on_and_more_unexplained():
    x, told = rows(3000)[0], []
    for penalty in (0.05, 0.5):
        plan = Plan("relu", "resid.1", options={"units": 24, "penalty": penalty})
        (made,) = train({"resid.1": x}, [plan], steps=100, batch=256)
        told.append(made.meta["trained"]["last"])
    assert told[0]["l0"] > 1.3 * told[1]["l0"] and told[0]["unexplained"] < told[1]["unexplained"]
