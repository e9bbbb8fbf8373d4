"""Learn a ReLU autoencoder whose penalty sharpens from L1 towards a count. Source: Karvonen et al. 2024
(arXiv:2408.00113)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.training.objective import Decoder, Moment
from clew.training.objectives._gates import GateCoder, Readings
from clew.training.objectives.relu import ReLUCoder

CHANGES = 10
"""Steps in which p falls from 1 to 0."""
NEAR = 0.02
"""Codes much smaller than this (a share of a typical row's length) are penalised as by L1 at every p."""


def p_anneal(
    *,
    units: int,
    penalty: float = 0.1,
    hold: float = 0.3,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> GateCoder:
    """As `relu`, but the penalty is the mean sum of |code|^p and p falls in ten steps from 1 to 0.

    Whenever p changes, the penalty's weight is changed so that the last batches cost as much as before.

    Args:
        penalty, warm_up: as for `relu`; the weight where p is 1.
        hold: the share of the steps with p = 1. From there p falls until 80 % of the steps are done.
        lr, decoder, dead_after: as for `topk`.

    Differs from the source: |code|^p has an infinite slope at 0 and none at p = 0, so it is
    ((|code| + h)^p - h^p) / p here, which is |code| at p = 1 and log(1 + |code| / h) at p = 0, with h = 2 % of a
    typical row's length. Dead units learn as in `relu`.
    Raises: ValueError when an option does not fit.
    """
    if not 0 <= hold < 0.8:
        raise ValueError(f"hold is {hold}; p must have time to fall, so it is a share of the steps from 0 to below 0.8")
    return PAnnealCoder(units, penalty, hold, warm_up=warm_up, lr=lr, decoder=decoder, dead_after=dead_after)


class PAnnealCoder(ReLUCoder):
    def __init__(self, units: int, penalty: float, hold: float, **rest: Any) -> None:
        super().__init__(units, penalty, **rest)
        self.hold = hold

    def further(self, x: Float[Tensor, "row d_in"]) -> None:
        self.state["p"] = x.new_ones(())
        self.state["weight"] = x.new_tensor(self.penalty)
        self.state["mass"] = x.new_zeros(2)  # running means of the penalty at this p, and at the next

    def p(self, now: Moment) -> float:
        """From 1 to 0 in ten steps."""
        gone = (now.step / now.steps - self.hold) / (0.8 - self.hold)
        return 1 - min(CHANGES, max(0, int(gone * CHANGES))) / CHANGES

    def cost(self, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"], now: Moment) -> Tensor:
        code = value * r.of(self.matrices["W_dec"].norm(dim=1)) / self.size
        p = float(self.state["p"])
        cost = r.mean(sharpened(code, p))
        with torch.no_grad():
            after = r.mean(sharpened(code, max(0.0, p - 1 / CHANGES)))
            self.state["mass"].lerp_(torch.stack([cost, after]), 0.1)
        self.told["p"] = p
        return now.ramp(self.warm_up) * self.state["weight"] * cost

    def settle(self, now: Moment) -> None:
        super().settle(now)
        p, here = self.p(now), float(self.state["p"])
        before, after = self.state["mass"]
        if p < here - 1e-6 and after > 0:
            self.state["weight"] *= before / after
            self.state["p"].fill_(max(0.0, here - 1 / CHANGES))
            self.state["mass"].zero_()


def sharpened(code: Tensor, p: float) -> Tensor:
    """((code + h)^p - h^p) / p for codes of at least 0; its limit at p = 0."""
    return (code / NEAR).log1p() if p < 1e-6 else ((code + NEAR) ** p - NEAR**p) / p
