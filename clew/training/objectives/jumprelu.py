"""Learn a JumpReLU autoencoder. Source: Rajamanoharan et al. 2024 (arXiv:2407.14435)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import Dictionary, JumpReLU
from clew.sites import Site
from clew.training.objective import Decoder, Moment, Scaling
from clew.training.objectives._gates import GateCoder, Readings, check


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
) -> GateCoder:
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
    return JumpReLUCoder(
        units,
        l0,
        penalty,
        bandwidth=bandwidth,
        threshold_lr=threshold_lr,
        warm_up=warm_up,
        lr=lr,
        decoder=decoder,
        dead_after=dead_after,
    )


class JumpReLUCoder(GateCoder):
    """Thresholds are exp(pace * log_threshold): Adam steps all tensors alike, and `pace` makes it another rate here."""

    def __init__(
        self, units: int, l0: float | None, penalty: float | None, *, bandwidth: float, threshold_lr: float, **rest: Any
    ) -> None:
        super().__init__(units, **rest)
        if (l0 is None) == (penalty is None):
            raise ValueError(
                f"l0={l0} and penalty={penalty} were given; choose one: units on at a row, or what one costs"
            )
        if l0 is not None and not 0 < l0 <= units:
            raise ValueError(f"l0 is {l0}; it must lie above 0 and not above the number of units, {units}")
        if not (bandwidth > 0 and threshold_lr > 0):
            raise ValueError(f"bandwidth={bandwidth} and threshold_lr={threshold_lr} must both be above 0")
        self.l0, self.bandwidth, self.pace = l0, bandwidth, threshold_lr / self.lr
        self.penalty = 1.0 if penalty is None else check("penalty", penalty)

    def further(self, x: Float[Tensor, "row d_in"]) -> None:
        if self.l0 is None:
            first = (self.penalty * self.state["variance"]).sqrt().expand(self.units)
        else:
            first = self.code(x[:4096]).quantile(1 - self.l0 / self.units, dim=0)
        self.tensors["log_threshold"] = first.clamp_min(1e-3).log() / self.pace

    def scale(self, factor: Float[Tensor, ""]) -> None:
        super().scale(factor)
        if self.l0 is not None:
            self.tensors["log_threshold"] += factor.log() / self.pace

    @property
    def threshold(self) -> Float[Tensor, " unit"]:
        return (self.pace * self.tensors["log_threshold"]).exp()

    def open(self, raw: Float[Tensor, "row unit"], x: Float[Tensor, "row d_in"]) -> Bool[Tensor, "row unit"]:
        return raw > self.threshold - self.bandwidth / 2

    def value(self, r: Readings) -> Tensor:
        on, near, threshold = self.gate(r)
        return torch.where(on, r.raw, 0.0) - threshold.detach() * near * live(threshold)

    def cost(self, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"], now: Moment) -> Tensor:
        on, near, threshold = self.gate(r)
        l0 = r.mean(on.to(near) - near * live(threshold))
        return now.ramp(self.warm_up) * self.penalty * (l0 if self.l0 is None else (l0 / self.l0 - 1).square())

    def gate(self, r: Readings) -> tuple[Tensor, Tensor, Tensor]:
        """Which readings are on, how much those near their threshold move it (1 / bandwidth), and the thresholds."""
        threshold = r.of(self.threshold)
        away = (r.raw - threshold).detach()
        return away > 0, (away.abs() < self.bandwidth / 2).to(away) / self.bandwidth, threshold

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        return JumpReLU(reads[0], writes[0], threshold=y.size * self.threshold, **self.folded(x, y), **meta)


def live(value: Tensor) -> Tensor:
    """0 with the gradient of `value`: what a straight-through estimate is hung on."""
    return value - value.detach()
