"""The one loss of all gated objectives, by lists and by matrices; and what they all must do."""

import pytest
import torch
import torch.nn.functional as F

from clew.finder import load
from clew.sites import Site
from clew.training import Plan, train
from clew.training.objective import Clock, Scaling
from clew.training.objectives import _gates
from clew.training.objectives._coder import Coder
from tests.training.planted_rows import rows

GATED = {
    "relu": {},
    "p_anneal": {},
    "gated": {},
    "jumprelu": {"l0": 2.0},
    "atoms": {"l0": 2.0},
    "top_afa": {},
    "gba": {},
    "jumprelu of a price": {"penalty": 0.05},
    "gba that rectifies": {"gate": "relu"},
}
NOW = Clock(60, 100)
SITE = Site("resid", 1)


def started(name: str, x: torch.Tensor, steps: int = 0) -> Coder:
    """In float64, after some steps down, with nothing that is exactly 0."""
    fit = load("training.objectives", name.split()[0])(units=24, **GATED[name])
    fit.start(x, x, torch.Generator().manual_seed(0))
    noise = torch.Generator().manual_seed(1)
    for key, tensor in fit.tensors.items():
        if key not in fit.frozen:
            tensor += 0.02 * torch.randn(tensor.shape, generator=noise, dtype=tensor.dtype)
        tensor.requires_grad_()
    if "bias" in fit.state:
        fit.state["bias"] -= 0.5
    return fit


@pytest.mark.parametrize("name", GATED)
def test_lists_and_matrices_give_one_loss_and_one_gradient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, found = rows(200)[0].double(), []
    for few in (0.0, 1.0):
        monkeypatch.setattr(_gates, "FEW", few)
        fit = started(name, x)
        fit.state["idle"][[2, 9]] = 10**6
        loss = fit.loss(x, x, NOW)
        grads = torch.autograd.grad(loss, list(fit.tensors.values()), allow_unused=True)
        found.append([loss, *(g for g in grads if g is not None), *fit.state.values(), torch.tensor(fit.told["l0"])])
        listed = fit.design.read(fit, x, NOW)[0].active is not None
        assert listed == (few == 1.0)
    for matrix, listed in zip(*found, strict=True):
        torch.testing.assert_close(listed, matrix, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", GATED)
def test_the_finished_dictionary_is_the_objective_in_the_units_of_x(name: str) -> None:
    x = rows(300)[0].double()
    fit = started(name, x)
    centre, scale = torch.linspace(-1, 1, 12, dtype=torch.float64), torch.full((12,), 7.0, dtype=torch.float64)
    with torch.no_grad():
        made = fit.finish([SITE], [SITE], Scaling(centre, scale), Scaling(centre, scale))
        torch.testing.assert_close(made.reconstruct(centre + scale * x), centre + scale * fit.reconstruct(x))


@pytest.mark.parametrize("name", GATED)
def test_planted_directions_are_found(name: str) -> None:
    x, true = rows(6000, units=24, d=16)
    more = {"gated": {"penalty": 0.5}, "top_afa": {"lr": 0.03}, "gba": {"highest": 0.15, "lowest": 0.05}}
    by = name.split()[0]
    options = {"units": 24, "lr": 0.01} | GATED[name] | more.get(by, {})
    (made,) = train({"resid.1": 3 + 50 * x}, [Plan(by, "resid.1", options=options)], steps=300, batch=256)
    cosine = lambda rows: (true @ F.normalize(rows, dim=1).T).amax(1).mean()  # noqa: E731
    assert cosine(torch.randn(24, 16, generator=torch.Generator().manual_seed(5))) < 0.5
    assert cosine(made.W_dec) > 0.8


@pytest.mark.parametrize("name", ["relu", "p_anneal", "gated", "jumprelu", "atoms"])
def test_a_warm_up_of_more_than_all_steps_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"warm_up is 2.0; it is a share of the steps, from 0 to 1"):
        load("training.objectives", name)(units=24, warm_up=2.0, **GATED[name])


@pytest.mark.parametrize(("name", "penalty"), [("relu", -1.0), ("p_anneal", -1.0), ("gated", -1.0), ("top_afa", -0.5)])
def test_a_negative_penalty_is_refused(name: str, penalty: float) -> None:
    with pytest.raises(ValueError, match=rf"penalty is {penalty}; it must be a number of at least 0"):
        load("training.objectives", name)(units=24, penalty=penalty)
