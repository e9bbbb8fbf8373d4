"""Masks that are learned: how they are drawn, what it costs to leave them on, and the loop that learns them.

Hard concrete (Louizos et al. 2018, arXiv:1712.01312): with u uniform on (0, 1) and T the temperature,
s = sigmoid((log u/(1-u) + log_alpha) / T) and z = clamp(1.2 s - 0.1, 0, 1), so that z is exactly 0 or 1 with a
chance that has a closed form, and gradients reach log_alpha in between. How many masks stay on is held to a target by
a price that rises while too many are on (Edge Pruning: Bhaskar et al. 2024, arXiv:2406.16778, section 3).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clew.circuits.circuit import Circuit
from clew.progress import Stopped, Tell
from clew.values import Value

STRETCH = 0.1
"""How far a mask is drawn beyond 0 and 1 before it is cut off there."""
START = 3.0
"""log_alpha at first: nearly every mask is on."""
SHORTEST = 1e-6
"""How near to 0 and 1 the uniform draws come."""


@dataclass(frozen=True)
class Schedule(Value):
    """How long masks are learned, by Adam on the parameter of each."""

    steps: int
    """Each looks at one batch."""
    lr: float = 0.1
    """Of Adam."""
    start: float | None = None
    """The parameter of every mask at first, from which its chance to be on follows; as the method has it by default: 3 for
    hard-concrete masks, 1 for uniform gradient sampling."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.lr <= 0:
            raise ValueError(f"steps={self.steps}, lr={self.lr}: give at least one step, and a rate above 0")


@dataclass(frozen=True)
class Price(Value):
    """How hard-concrete masks are held to a number of them: by a price for being on, which rises."""

    price_lr: float = 0.5
    """How fast the price of an item climbs."""
    warmup: float = 0.7
    """For which part of the steps the number of items that may be on falls to what shall stay."""
    temperature: float = 2 / 3
    """Of the masks: the lower, the nearer to 0 and 1 they are drawn."""

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= 1 or self.temperature <= 0:
            raise ValueError(
                f"warmup={self.warmup}, temperature={self.temperature}: give a warmup from 0 to 1 and a temperature above 0"
            )


class Masked(ABC):
    """A model whose parts take another state as far as their masks are off: what a search learns from.

    Args: examples: how many each batch has. items: how many masks there are. like: of their precision and device.
    """

    def __init__(self, examples: Sequence[int], items: int, like: Tensor, seed: int) -> None:
        if not items:
            raise ValueError("there is nothing to mask: no part of the model differs between its two states")
        self.batches, self.items, self.like = len(examples), items, like
        self._weight = [n * len(examples) / sum(examples) for n in examples]
        self._random = torch.Generator().manual_seed(seed)
        self._order: list[int] = []

    @abstractmethod
    def losses(self, batch: int, mask: Float[Tensor, "sample item"]) -> Float[Tensor, "sample example"]:
        """The loss of every example of one batch under each sample of the masks."""

    @abstractmethod
    def circuit(self, score: Float[Tensor, " item"]) -> Circuit:
        """All items with these scores."""

    def loss(self, mask: Float[Tensor, "sample item"]) -> Float[Tensor, " sample"]:
        """Mean loss on the next batch, by its share of the examples: over a round it averages to that of all of them.

        Every batch comes once in a round, in a seeded order.
        """
        self._order = self._order or torch.randperm(self.batches, generator=self._random).tolist()
        batch = self._order.pop()
        return self._weight[batch] * self.losses(batch, mask).mean(1)

    def whole_loss(self, mask: Float[Tensor, " item"]) -> float:
        """Mean loss over all examples under one mask."""
        with torch.no_grad():
            found = [self.losses(batch, mask.to(self.like)[None])[0] for batch in range(self.batches)]
        return float(torch.cat(found).mean())

    def kept(self, score: Float[Tensor, " item"], keep: int) -> Circuit:
        """The circuit of all items, with what the `keep` best alone leave of the behaviour in its details."""
        best = torch.zeros_like(score)
        best[score.argsort(descending=True, stable=True)[:keep]] = 1
        masks = {"items": self.items, "keep": keep, "loss": self.whole_loss(best)}
        return self.circuit(score).with_details(masks=masks)


def hard_concrete_sample(
    u: Float[Tensor, "*sample item"], log_alpha: Float[Tensor, " item"], temperature: float = 2 / 3
) -> Float[Tensor, "*sample item"]:
    """Masks in [0, 1] from uniform draws `u`; many of them are exactly 0 or 1."""
    s = ((u.logit() + log_alpha) / temperature).sigmoid()
    return (s * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1)


def settled(log_alpha: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The masks without noise."""
    return (log_alpha.sigmoid() * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1)


def chance_on(log_alpha: Float[Tensor, "*any"], temperature: float = 2 / 3) -> Float[Tensor, "*any"]:
    """P(z > 0), in closed form: sigmoid(log_alpha + T log 11). Its sum is the expected number of masks that are on."""
    return (log_alpha + temperature * math.log((1 + STRETCH) / STRETCH)).sigmoid()


def count(keep: float | int, items: int) -> int:
    """How many items are to stay. Raises: ValueError for a number that is no share and no count of them."""
    wanted = round(keep * items) if 0 < keep < 1 else int(keep)
    if (wanted != keep and keep >= 1) or not 0 < keep <= items:
        raise ValueError(f"keep={keep}: give how many of the {items} items shall stay, or which share of them")
    return max(1, wanted)


def loop(
    steps: int, step: Callable[[int], dict[str, float]], learned: Callable[[], Circuit], progress: Tell | None
) -> None:
    """Call `step` so many times; the numbers it returns, "loss" among them, go to `progress`.

    Raises: Stopped, with the circuit so far, at an interrupt; ValueError for a loss that is not finite.
    """
    done = 0
    try:
        for done in range(steps):
            numbers = step(done)
            if not math.isfinite(numbers["loss"]):
                raise ValueError(f"the loss is {numbers['loss']} at step {done}; try a smaller lr, or float32 weights")
            if progress:
                progress(done + 1, steps, numbers)
    except KeyboardInterrupt as interrupt:
        said = f"stopped after {done} of {steps} steps; what was learned is in `.result` of this exception"
        raise Stopped(said, learned()) from interrupt


def learn(
    masked: Masked,
    *,
    keep: float | int,
    schedule: Schedule,
    price: Price,
    seed: int,
    progress: Tell | None,
) -> tuple[Circuit, Float[Tensor, " item"]]:
    """Hard-concrete masks that keep the loss low while only `keep` items are on.

    With `over` the share of masks that are on (in expectation) beyond what is allowed, the loss is
    loss(masks) + items (a over + b over^2), and after every step a and b climb by price_lr times over and over^2, in
    units of what one of `keep` items is worth on average: (loss with all off - loss with all on) / keep. The share
    allowed falls from 1 to `keep` over the first `warmup` of the steps. Differs from Edge Pruning in those units, so
    that the same rates serve any metric and number of items: a price far above what items are worth drowns the loss, and
    with it the ranking. Prices climb by plain gradient ascent, and a never falls below 0: nothing is paid for being on.

    Returns: a Circuit of all items, scored by their chance to be on, and log_alpha, [item].
    """
    wanted = count(keep, masked.items)
    random = torch.Generator(masked.like.device).manual_seed(seed)
    draw = {"generator": random, "dtype": masked.like.dtype, "device": masked.like.device}
    log_alpha = (START if schedule.start is None else schedule.start) + 0.01 * torch.randn(masked.items, **draw)
    log_alpha.requires_grad_()
    adam = torch.optim.Adam([log_alpha], lr=schedule.lr)
    ends = [masked.whole_loss(torch.full_like(log_alpha.detach(), end)) for end in (0, 1)]
    worth = abs(ends[0] - ends[1]) / wanted
    temperature, asked = price.temperature, [0.0, 0.0]

    def step(i: int) -> dict[str, float]:
        allowed = 1 - (1 - wanted / masked.items) * min(1.0, (i + 1) / max(1.0, price.warmup * schedule.steps))
        u = torch.rand(1, masked.items, **draw).clamp(SHORTEST, 1 - SHORTEST)
        loss = masked.loss(hard_concrete_sample(u, log_alpha, temperature)).mean()
        over = chance_on(log_alpha, temperature).mean() - allowed
        total = loss + masked.items * (asked[0] * over + asked[1] * over**2)
        (log_alpha.grad,) = torch.autograd.grad(total, [log_alpha])
        adam.step()
        beyond = float(over.detach())
        asked[0] = max(0.0, asked[0] + price.price_lr * worth * beyond)
        asked[1] += price.price_lr * worth * beyond**2
        return {"loss": float(loss.detach()), "on": allowed + beyond, "allowed": allowed, "price": asked[0]}

    def score() -> Tensor:
        return chance_on(log_alpha.detach().double(), temperature)

    loop(schedule.steps, step, lambda: masked.circuit(score()), progress)
    found = masked.kept(score(), wanted)
    left = int((settled(log_alpha.detach()) > 0).sum())
    return found.with_details(masks={**found.details["masks"], "on": left}), log_alpha.detach()
