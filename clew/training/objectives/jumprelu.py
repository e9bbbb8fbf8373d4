"""Learn a JumpReLU autoencoder. Source: Rajamanoharan et al. 2024 (arXiv:2407.14435)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import JumpReLU
from clew.training.objective import Scaling
from clew.training.objectives._checks import check_warm_up, check_weight
from clew.training.objectives._coder import Coder, Decoder, Design, Pass, by_encoder
from clew.training.objectives._gates import Gates
from clew.training.objectives._matrices import rate
from clew.training.objectives._readings import Readings
from clew.training.objectives._revive import Revive


def jumprelu(
    *,
    units: int,
    l0: float | None = None,
    penalty: float | None = None,
    bandwidth: float = 0.5,
    threshold_lr: float = 0.03,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> Coder:
    """A unit is on where its reading is above a threshold of its own, which is learnt; what is counted is units.

    Args:
        l0: how many units shall be on, in the mean; what is penalised is (L0 / l0 - 1)^2. Give this or `penalty`.
        penalty: what one active unit costs, as a share of variance: a unit is worth it when it explains more.
        bandwidth: readings that close to their threshold (half of it to each side) move it. A row has a length of
            about the root of its width here, so a reading along a direction without meaning has a spread of about 1.
        threshold_lr: Adam's rate for the logarithm of the thresholds: by how much of itself one may move in a step.
        warm_up: the share of the steps over which the penalty grows to its weight.
        lr, decoder, dead_after: as for `topk`.

    Differs from the source: a threshold has a rate of its own (by the rate of the weights it would need a thousand
    times the steps) and starts where its unit is on at l0 / units of the first rows (with `penalty`: where a reading
    explains what it costs); dead units learn as in `relu`.
    Raises: ValueError when an option does not fit.
    """
    lr = rate(units, lr)
    given = thresholds(units, l0, penalty, bandwidth, threshold_lr, warm_up, lr=lr)
    return Coder(units, design(given), lr=lr, decoder=decoder, dead_after=dead_after)


def thresholds(
    units: int,
    l0: float | None,
    penalty: float | None,
    bandwidth: float,
    threshold_lr: float,
    warm_up: float,
    *,
    lr: float,
) -> Thresholds:
    """Raises: ValueError when an option does not fit."""
    if (l0 is None) == (penalty is None):
        raise ValueError(f"l0={l0} and penalty={penalty} were given; choose one: units on at a row, or what one costs")
    if l0 is not None and not 0 < l0 <= units:
        raise ValueError(f"l0 is {l0}; it must lie above 0 and not above the number of units, {units}")
    if not (bandwidth > 0 and threshold_lr > 0):
        raise ValueError(f"bandwidth={bandwidth} and threshold_lr={threshold_lr} must both be above 0")
    weight = 1.0 if penalty is None else check_weight("penalty", penalty)
    return Thresholds(l0, weight, bandwidth, threshold_lr / lr, check_warm_up(warm_up))


def design(t: Thresholds) -> Design:
    """What all with thresholds of their own share."""
    read, terms = Gates(t.open, t.value), (t.cost, Revive())
    return Design(read, JumpReLU, terms, begin=t.begin, scale=t.scale, fold=t.with_threshold)


@dataclass(frozen=True)
class Thresholds:
    """exp(pace * log_threshold): Adam steps all tensors alike, and `pace` makes it another rate here."""

    l0: float | None
    penalty: float
    bandwidth: float
    pace: float
    warm_up: float

    def begin(self, coder: Coder, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"]) -> None:
        if self.l0 is None:
            first = (self.penalty * coder.state["variance"]).sqrt().expand(coder.units)
        else:
            first = coder.code(x[:4096]).quantile(1 - self.l0 / coder.units, dim=0)
        coder.tensors["log_threshold"] = first.clamp_min(1e-3).log() / self.pace

    def scale(self, coder: Coder, factor: Float[Tensor, ""]) -> None:
        by_encoder(coder, factor)
        if self.l0 is not None:
            coder.tensors["log_threshold"] += factor.log() / self.pace

    def of(self, coder: Coder) -> Float[Tensor, " unit"]:
        return (self.pace * coder.tensors["log_threshold"]).exp()

    def open(
        self, coder: Coder, raw: Float[Tensor, "row unit"], seen: Float[Tensor, "row d_in"]
    ) -> Bool[Tensor, "row unit"]:
        return raw > self.of(coder) - self.bandwidth / 2

    def value(self, coder: Coder, r: Readings) -> Tensor:
        on, near, threshold = self.gate(coder, r)
        return torch.where(on, r.raw, 0.0) - threshold.detach() * near * live(threshold)

    def cost(self, coder: Coder, seen: Pass) -> Tensor:
        on, near, threshold = self.gate(coder, seen.r)
        l0 = seen.r.mean(on.to(near) - near * live(threshold))
        paid = l0 if self.l0 is None else (l0 / self.l0 - 1).square()
        return seen.now.ramp(self.warm_up) * self.penalty * paid

    def gate(self, coder: Coder, r: Readings) -> tuple[Tensor, Tensor, Tensor]:
        """Which readings are on, how much those near their threshold move it (1 / bandwidth), and the thresholds."""
        threshold = r.of(self.of(coder))
        away = (r.raw - threshold).detach()
        return away > 0, (away.abs() < self.bandwidth / 2).to(away) / self.bandwidth, threshold

    def with_threshold(self, coder: Coder, given: dict[str, Any], x: Scaling, y: Scaling) -> dict[str, Any]:
        return given | {"threshold": y.size * self.of(coder)}


def live(value: Tensor) -> Tensor:
    """0 with the gradient of `value`: what a straight-through estimate is hung on."""
    return value - value.detach()
