"""Hard-concrete masks against their closed forms, and the loop on a loss whose best masks are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from clew.circuits.circuit import Circuit
from clew.methods._masks import (
    Masked,
    Price,
    Schedule,
    chance_on,
    count,
    hard_concrete_sample,
    learn,
    loop,
    settled,
)
from clew.progress import Stopped
from clew.sites import Site
from clew.studies.comparison.searches import Search

DEFAULTS = {"schedule": Schedule(steps=200), "price": Price(), "seed": 0}
LOG_ALPHA = torch.tensor([-4.0, -1.0, 0.0, 0.5, 3.0], dtype=torch.float64)


class Worths(Masked):
    """A loss that is known: each item that is off costs its worth."""

    def __init__(self, worth: list[float]) -> None:
        self.worth = torch.tensor(worth, dtype=torch.float64)
        super().__init__([3, 3], len(worth), torch.zeros(0, dtype=torch.float64), seed=0)

    def losses(self, batch: int, mask: Tensor) -> Tensor:
        return ((1 - mask) @ self.worth)[:, None].expand(-1, 3)

    def circuit(self, score: Tensor) -> Circuit:
        n, site = self.items, Site("resid", 0)
        column = np.zeros(n, np.int64)
        return Circuit((site,), {site: n}, column, np.arange(n), column - 1, score.numpy(), np.full(n, np.nan))


class Uneven(Worths):
    """Two batches, of three examples and of one; the last loses more."""

    def __init__(self) -> None:
        super().__init__([1.0])
        Masked.__init__(self, [3, 1], 1, self.like, seed=0)

    def losses(self, batch: int, mask: Tensor) -> Tensor:
        return torch.full((len(mask), (3, 1)[batch]), (2.0, 10.0)[batch], dtype=torch.float64)


def even(n: int = 200_000) -> Tensor:
    """Draws that cover (0, 1) evenly."""
    return ((torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n).expand(-1, len(LOG_ALPHA))


def test_the_chance_to_be_on_is_the_share_of_draws_above_zero() -> None:
    z = hard_concrete_sample(even(), LOG_ALPHA)
    assert torch.allclose((z > 0).double().mean(0), chance_on(LOG_ALPHA), atol=1e-5)
    whole = (LOG_ALPHA - 2 / 3 * math.log(11)).sigmoid()  # by symmetry, the chance to be exactly 1
    assert torch.allclose((z == 1).double().mean(0), whole, atol=1e-5)


def test_the_gradient_of_the_expected_number_that_is_on_is_that_of_a_sigmoid() -> None:
    log_alpha = LOG_ALPHA.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(chance_on(log_alpha).sum(), [log_alpha])
    p = 1 / (1 + torch.exp(-LOG_ALPHA) * 11 ** (-2 / 3))
    assert torch.allclose(gradient, p * (1 - p), atol=1e-14)


def test_gradients_pass_only_through_masks_that_are_between_0_and_1() -> None:
    log_alpha = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    z = hard_concrete_sample(torch.tensor([0.01, 0.5, 0.99], dtype=torch.float64), log_alpha)
    (gradient,) = torch.autograd.grad(z.sum(), [log_alpha])
    assert z.tolist() == [0.0, pytest.approx(0.5), 1.0]
    assert gradient.tolist() == [0.0, pytest.approx(1.2 * 0.25 / (2 / 3)), 0.0]


def test_settled_masks_are_those_of_the_middle_draw_at_temperature_1() -> None:
    middle = torch.full_like(LOG_ALPHA, 0.5)
    assert torch.allclose(settled(LOG_ALPHA), hard_concrete_sample(middle, LOG_ALPHA, 1.0))
    assert settled(LOG_ALPHA)[0] == 0


def test_what_is_worth_most_stays_on_whatever_the_unit_of_the_loss() -> None:
    worth = [0.1, 3.0, 0.0, 2.0, 0.2, 4.0, 0.05, 0.1, 0.0, 0.3]
    for unit in (1e-3, 1.0, 1e3):
        circuit, log_alpha = learn(Worths([unit * w for w in worth]), keep=3, progress=None, **DEFAULTS)
        assert sorted(circuit.top(3).unit.tolist()) == [1, 3, 5]
        assert circuit.details["masks"] == {"items": 10, "keep": 3, "on": 3, "loss": pytest.approx(unit * 0.75)}
        assert abs(float(chance_on(log_alpha).sum()) - 3) < 0.5


def test_over_a_round_of_batches_every_example_weighs_the_same() -> None:
    masked, mask = Uneven(), torch.ones(1, 1, dtype=torch.float64)
    assert sorted(masked.loss(mask).item() for _ in range(2)) == [3.0, 5.0]  # 3 of 4 examples lose 2, one loses 10
    assert masked.whole_loss(mask[0]) == 4.0


def test_a_share_and_a_number_say_the_same() -> None:
    assert count(0.25, 40) == count(10, 40) == 10 and count(0.001, 40) == 1 and count(1, 40) == 1
    for wrong in (0, -1, 41, 2.5):
        with pytest.raises(ValueError, match="how many of the 40"):
            count(wrong, 40)


def test_an_interrupt_keeps_what_was_learned() -> None:
    def stop(step: int, steps: int, numbers: dict[str, float]) -> None:
        if step == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="after 59 of 200 steps") as stopped:
        learn(Worths([5.0, 0.0, 0.0, 0.0]), keep=1, progress=stop, **DEFAULTS)
    assert isinstance(stopped.value, Stopped) and stopped.value.result.top(1).unit.tolist() == [0]


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="the loss is nan at step 0"):
        loop(3, lambda i: {"loss": float("nan")}, lambda: Worths([1.0]).circuit(torch.ones(1)), None)


def test_a_search_without_steps_or_items_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        learn(Worths([1.0, 2.0]), keep=1, progress=None, **DEFAULTS | {"schedule": Schedule(steps=0)})
    with pytest.raises(ValueError, match="nothing to mask"):
        Worths([])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Schedule(0), "at least one step"),
        (lambda: Schedule(5, lr=0.0), "a rate above 0"),
        (lambda: Price(warmup=1.5), "a warmup from 0 to 1"),
        (lambda: Price(temperature=0.0), "a temperature above 0"),
    ],
)
def test_a_schedule_and_a_price_are_checked_where_they_are_made(made, said) -> None:
    with pytest.raises(ValueError, match=said):
        made()


def test_a_search_is_written_with_the_fields_of_its_values() -> None:
    search = Search.named("hard_concrete:steps=60:warmup=1")
    assert search.given == {"schedule": Schedule(60), "price": Price(warmup=1.0)}
