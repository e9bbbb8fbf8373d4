import torch

from clew.training.objective import Clock
from clew.training.objectives._coder import Coder
from clew.training.objectives.gated import gated
from tests.training.planted_rows import rows

NOW = Clock(50, 100)


def started(x: torch.Tensor) -> Coder:
    fit = gated(units=24, penalty=0.3)
    fit.start(x, x, torch.Generator().manual_seed(0))
    noise = torch.Generator().manual_seed(1)
    for tensor in fit.tensors.values():
        tensor += 0.1 * torch.randn(tensor.shape, generator=noise, dtype=tensor.dtype)
        tensor.requires_grad_()
    return fit


def test_loss_and_gradients_are_those_of_the_three_terms():
    x = rows(200)[0].double()
    fit = started(x)
    t, variance = fit.tensors, fit.state["variance"]
    z = (x - t["b_dec"]) @ t["W_enc"].T
    gate = (z + t["b_enc"]).relu()
    code = (z * t["r_mag"].exp() + t["b_mag"]).relu() * (gate > 0)
    error = (code @ t["W_dec"] + t["b_dec"] - x).square().sum(1).mean() / variance
    guess = (gate @ t["W_dec"].detach() + t["b_dec"].detach() - x).square().sum(1).mean() / variance
    expected = error + guess + 0.3 * (gate * t["W_dec"].norm(dim=1)).sum(1).mean() / variance.sqrt()
    torch.testing.assert_close(fit.loss(x, x, NOW), expected, rtol=1e-12, atol=0)
    pairs = (torch.autograd.grad(loss, list(t.values())) for loss in (fit.loss(x, x, NOW), expected))
    for mine, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
