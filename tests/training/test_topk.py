import pytest
import torch

from clew.dictionaries import TopK
from clew.training.loop import batches
from clew.training.topk import AUXILIARY, Fit, topk


def planted(
    tokens: int, units: int = 24, d: int = 12, active: int = 2, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of a few known directions, and the directions."""
    g = torch.Generator().manual_seed(seed)
    true = torch.nn.functional.normalize(torch.randn(units, d, generator=g), dim=1)
    code = torch.zeros(tokens, units).scatter(1, torch.rand(tokens, units, generator=g).argsort(1)[:, :active], 1.0)
    return (code * (1 + torch.rand(tokens, units, generator=g))) @ true, true


def double(fit: Fit) -> Fit:
    fit.W_enc, fit.b_enc, fit.W_dec, fit.b_dec = (p.double() for p in fit.parameters)
    return fit


def dense(fit: Fit, x: torch.Tensor, dead: torch.Tensor) -> list[torch.Tensor]:
    """The same loss written plainly, and what autograd makes of it."""
    W_enc, b_enc, W_dec, b_dec = (p.detach().clone().requires_grad_() for p in fit.parameters)
    raw = (x - b_dec) @ W_enc.T + b_enc
    value, index = raw.topk(fit.k, dim=1)
    made = torch.zeros_like(raw).scatter(1, index, value.relu()) @ W_dec + b_dec
    loss = (made - x).square().sum(1).mean() / fit.variance
    if len(dead):
        left, half = (x - made).detach(), x.shape[1] // 2
        value, place = raw[:, dead].topk(min(half, len(dead)), dim=1)
        guess = torch.zeros_like(raw).scatter(1, dead[place], value) @ W_dec
        loss = loss + AUXILIARY * min(1, len(dead) / half) * (guess - left).square().sum() / left.square().sum()
    grads = list(torch.autograd.grad(loss, [W_enc, b_enc, W_dec, b_dec]))
    grads[2] = grads[2] - (grads[2] * W_dec).sum(1, keepdim=True) * W_dec
    return [g.detach() for g in grads]


@pytest.mark.parametrize("dead", [[], [0, 3], [1, 2, 4, 5, 7, 8, 9, 11, 20]])
def test_gradients_are_those_of_dense_autograd(dead):
    x, _ = planted(200)
    fit = double(Fit(batches(x, 64, 0), units=24, k=3, seed=0))
    fit.b_enc += 0.1 * torch.randn(24, dtype=torch.float64)
    fit.b_enc[dead] = -50.0
    fit.b_dec += 0.1
    fit.idle[dead] = 1000
    x = x.double()
    expected = dense(fit, x, torch.tensor(dead, dtype=torch.long))
    _, found = fit.gradients(x)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-13)


def test_the_auxiliary_loss_reaches_the_encoder_of_a_dead_unit():
    x, _ = planted(200)
    fit = Fit(batches(x, 64, 0), units=24, k=3, seed=0)
    fit.b_enc[5] = -50.0
    assert fit.gradients(x)[1][0][5].abs().sum() == 0
    fit.idle[5] = 1000
    assert fit.gradients(x)[1][0][5].abs().sum() > 0


def test_planted_directions_are_found():
    x, true = planted(6000)
    made = topk(3.0 + 50 * x, reads="resid.1", units=24, k=2, steps=800, batch=256, lr=5e-3)
    assert isinstance(made, TopK) and str(made.reads) == "resid.1"
    assert (true @ made.W_dec.T).max(dim=1).values.median() > 0.95


def test_scaling_is_folded_back():
    x, _ = planted(3000)
    one, two = (topk(y, reads="resid.1", units=24, k=3, steps=30, batch=256) for y in (x, 100 * x + 7))
    torch.testing.assert_close(two.reconstruct(100 * x + 7), 100 * one.reconstruct(x) + 7, rtol=1e-2, atol=1e-1)
    assert torch.allclose(one.W_dec.norm(dim=1), torch.ones(24), atol=1e-5)


def test_the_same_seed_gives_the_same_dictionary_and_steps_are_reported():
    x, _ = planted(3000)
    told = []
    one, two = (topk(x, reads="resid.1", units=24, k=3, steps=10, progress=lambda *a: told.append(a)) for _ in "ab")
    assert one.fingerprint == two.fingerprint
    assert [step for step, _, _ in told[:10]] == list(range(1, 11))
    assert one.meta["unexplained"] == told[9][2] < told[0][2]


def test_a_stream_is_one_step_per_batch():
    x, _ = planted(3000)
    assert topk(iter(x.split(500)), reads="resid.1", units=24, k=3, steps=100).meta["steps"] == 6


def test_what_cannot_be_learned_is_refused():
    x, _ = planted(20)
    with pytest.raises(ValueError, match="too few to start 24 units"):
        topk(x, reads="resid.1", units=24, k=3, steps=1)
    with pytest.raises(ValueError, match="k is 30"):
        topk(x, reads="resid.1", units=24, k=30, steps=1)
