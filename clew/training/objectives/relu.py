"""Learn a ReLU autoencoder with an L1 penalty. Source: Bricken et al. 2023; Conerly et al. 2024."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from clew.dictionaries import ReLU
from clew.training.objectives._checks import check_warm_up, check_weight
from clew.training.objectives._coder import Coder, Decoder, Design, Pass
from clew.training.objectives._gates import Gates
from clew.training.objectives._revive import Revive


def relu(
    *,
    units: int,
    penalty: float = 0.1,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> Coder:
    """`units` directions; the sum of a code is penalised, so that few are on.

    Args:
        penalty: what is made small is the unexplained share of variance plus `penalty` times the mean sum of |code|
            times the length of its direction, over the root of the variance; pure numbers, alike at every site.
        warm_up: the share of the steps over which the penalty grows to its weight.
        lr, decoder, dead_after: as for `topk`.

    Differs from the sources: directions keep length one; dead units are not drawn anew but learn from what the others
    leave, as in `topk`: that is a gradient like any other, so Adam's moments need no surgery and nothing jumps.
    Raises: ValueError when an option does not fit.
    """
    design = Design(Gates(), ReLU, (L1(penalty, warm_up), Revive()))
    return Coder(units, design, lr=lr, decoder=decoder, dead_after=dead_after)


@dataclass(frozen=True)
class L1:
    """A term of a loss: the mean sum of codes times the lengths that they write, over the root of the variance."""

    penalty: float
    warm_up: float

    def __post_init__(self) -> None:
        check_weight("penalty", self.penalty)
        check_warm_up(self.warm_up)

    def __call__(self, coder: Coder, seen: Pass) -> Tensor:
        r, length = seen.r, coder.length(coder.matrices["W_dec"])
        return seen.now.ramp(self.warm_up) * self.penalty * r.mean(seen.value * r.of(length)) / coder.size
