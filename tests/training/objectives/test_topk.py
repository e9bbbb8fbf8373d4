import pytest
import torch

from clew.dictionaries import TopK
from clew.training import Plan, train
from clew.training.objective import Clock
from clew.training.objectives._coder import Coder
from clew.training.objectives._dead import AUXILIARY
from clew.training.objectives.topk import Best, topk
from tests.training.planted_rows import rows


def started(x: torch.Tensor, half: bool = False, **options: object) -> Coder:
    """In float64, with biases that are not 0."""
    fit = topk(units=24, k=3, half=half, **options)
    fit.start(x.float(), x.float(), torch.Generator().manual_seed(0))
    noise = torch.Generator().manual_seed(1)
    fit.tensors = {n: t.double() for n, t in fit.tensors.items()}
    fit.tensors["b_enc"] += 0.1 * torch.randn(24, generator=noise, dtype=torch.float64)
    fit.tensors["b_dec"] += 0.1
    for tensor in fit.tensors.values():
        tensor.requires_grad_()
    return fit


def dense(fit: Coder, x: torch.Tensor, dead: torch.Tensor) -> list[torch.Tensor]:
    """The same loss written plainly, and what autograd makes of it."""
    W_enc, b_enc, W_dec, b_dec = fit.tensors.values()
    raw = (x - b_dec) @ W_enc.T + b_enc
    value, index = raw.topk(3, dim=1)
    made = torch.zeros_like(raw).scatter(1, index, value.relu()) @ W_dec + b_dec
    loss = (made - x).square().sum(1).mean() / fit.state["variance"]
    if len(dead):
        left, half = (x - made).detach(), x.shape[1] // 2
        value, place = raw[:, dead].topk(min(half, len(dead)), dim=1)
        guess = torch.zeros_like(raw).scatter(1, dead[place], value) @ W_dec
        loss = loss + AUXILIARY * min(1, len(dead) / half) * (guess - left).square().sum() / left.square().sum()
    return list(torch.autograd.grad(loss, list(fit.tensors.values())))


@pytest.mark.parametrize("dead", [[], [0, 3], [1, 2, 4, 5, 7, 8, 9, 11, 20]])
def test_gradients_are_those_of_dense_autograd(dead):
    x = rows(200)[0].double()
    fit = started(x)
    fit.tensors["b_enc"].data[dead] = -50.0
    fit.state["idle"][dead] = 10**6
    expected = dense(fit, x, torch.tensor(dead, dtype=torch.long))
    found = torch.autograd.grad(fit.loss(x, x, Clock(1, 1)), list(fit.tensors.values()))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-13)


def test_the_auxiliary_loss_reaches_the_encoder_of_a_dead_unit():
    x = rows(200)[0].double()
    fit = started(x)
    fit.tensors["b_enc"].data[5] = -50.0
    on_encoder = lambda: torch.autograd.grad(fit.loss(x, x, Clock(1, 1)), fit.tensors["W_enc"])[0][5]  # noqa: E731
    assert on_encoder().abs().sum() == 0
    fit.state["idle"][5] = 10**6
    assert on_encoder().abs().sum() > 0


def test_choosing_by_half_precision_keeps_values_and_gradients_whole():
    x = rows(200)[0].double()
    exact, half = started(x), started(x, half=True)
    half.tensors = exact.tensors
    (one, value), (two, values) = (fit.design.read(fit, x, Clock(1, 1)) for fit in (exact, half))
    same = (one.active.unit.view(-1, 3).sort().values == two.active.unit.view(-1, 3).sort().values).all(1)
    assert same.float().mean() > 0.9
    torch.testing.assert_close(
        value.view(-1, 3).sort().values[same], values.view(-1, 3).sort().values[same], rtol=1e-12, atol=1e-12
    )


def test_planted_directions_are_found():
    x, true = rows(6000)
    (made,) = train(
        {"resid.1": 3.0 + 50 * x}, [Plan("topk", "resid.1", options={"units": 24, "k": 2})], steps=800, batch=256
    )
    assert isinstance(made, TopK) and str(made.reads) == "resid.1"
    assert (true @ made.W_dec.T).max(dim=1).values.median() > 0.95


def test_scaling_is_folded_back():
    x = rows(3000)[0]
    plan = Plan("topk", "resid.1", options={"units": 24, "k": 3})
    one, two = (train({"resid.1": y}, [plan], steps=30, batch=256)[0] for y in (x, 100 * x + 7))
    torch.testing.assert_close(two.reconstruct(100 * x + 7), 100 * one.reconstruct(x) + 7, rtol=1e-2, atol=1e-1)
    assert torch.allclose(one.W_dec.norm(dim=1), torch.ones(24), atol=1e-5)


def test_a_random_decoder_stays_as_it_was_drawn():
    x = rows(3000)[0]
    plan = Plan("topk", "resid.1", options={"units": 24, "k": 3, "decoder": "random"})
    short, long = (train({"resid.1": x}, [plan], steps=n, batch=256)[0] for n in (1, 40))
    assert torch.allclose(short.W_dec, long.W_dec, atol=1e-6)
    assert not torch.allclose(short.W_enc, long.W_enc, atol=1e-3)


def test_k_comes_down_over_the_first_half_of_the_steps():
    choose, raw = Best(k=2, first_k=12), torch.rand(5, 24)
    assert [int(choose(raw, Clock(step, 20)).count[0]) for step in (1, 5, 10, 20)] == [11, 7, 2, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"units": 24, "k": 30}, "k is 30"),
        ({"units": 0, "k": 1}, "at least one"),
        ({"units": 9, "k": 3, "first_k": 2}, "first_k is 2"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        topk(**options)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="too few to start 24 units"):
        train({"resid.1": rows(20)[0]}, [Plan("topk", "resid.1", options={"units": 24, "k": 3})], steps=1)
