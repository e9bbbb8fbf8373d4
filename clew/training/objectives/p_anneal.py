"""Learn a ReLU autoencoder whose penalty sharpens from L1 towards a count. Source: Karvonen et al. 2024
(arXiv:2408.00113)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import ReLU
from clew.training.objective import Clock
from clew.training.objectives._checks import check_warm_up, check_weight
from clew.training.objectives._coder import Coder, Decoder, Design, Pass
from clew.training.objectives._gates import Gates
from clew.training.objectives._revive import Revive

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
) -> Coder:
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
    falling = Annealing(check_weight("penalty", penalty), hold, check_warm_up(warm_up))
    design = Design(Gates(), ReLU, (falling.cost, Revive()), begin=falling.begin, settle=falling.settle)
    return Coder(units, design, lr=lr, decoder=decoder, dead_after=dead_after)


@dataclass(frozen=True)
class Annealing:
    """The penalty; p and its weight stand in the coder's state."""

    penalty: float
    hold: float
    warm_up: float

    def begin(self, coder: Coder, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"]) -> None:
        coder.state["p"] = x.new_ones(())
        coder.state["weight"] = x.new_tensor(self.penalty)
        coder.state["mass"] = x.new_zeros(2)  # running means of the penalty at this p, and at the next

    def p(self, now: Clock) -> float:
        """From 1 to 0 in ten steps."""
        gone = (now.step / now.steps - self.hold) / (0.8 - self.hold)
        return 1 - min(CHANGES, max(0, int(gone * CHANGES))) / CHANGES

    def cost(self, coder: Coder, seen: Pass) -> Tensor:
        r, state = seen.r, coder.state
        code = seen.value * r.of(coder.length(coder.matrices["W_dec"])) / coder.size
        p = float(state["p"])
        cost = r.mean(sharpened(code, p))
        with torch.no_grad():
            after = r.mean(sharpened(code, max(0.0, p - 1 / CHANGES)))
            state["mass"].lerp_(torch.stack([cost, after]), 0.1)
        coder.told["p"] = p
        return seen.now.ramp(self.warm_up) * state["weight"] * cost

    def settle(self, coder: Coder, now: Clock) -> None:
        state = coder.state
        p, here = self.p(now), float(state["p"])
        before, after = state["mass"]
        if p < here - 1e-6 and after > 0:
            state["weight"] *= before / after
            state["p"].fill_(max(0.0, here - 1 / CHANGES))
            state["mass"].zero_()


def sharpened(code: Tensor, p: float) -> Tensor:
    """((code + h)^p - h^p) / p for codes of at least 0; its limit at p = 0."""
    return (code / NEAR).log1p() if p < 1e-6 else ((code + NEAR) ** p - NEAR**p) / p
