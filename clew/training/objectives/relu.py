"""Learn a ReLU autoencoder with an L1 penalty. Source: Bricken et al. 2023; Conerly et al. 2024."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import Dictionary, ReLU
from clew.sites import Site
from clew.training.objective import Decoder, Moment, Scaling
from clew.training.objectives._gates import GateCoder, Readings, check


def relu(
    *,
    units: int,
    penalty: float = 0.1,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> GateCoder:
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
    return ReLUCoder(units, penalty, warm_up=warm_up, lr=lr, decoder=decoder, dead_after=dead_after)


class ReLUCoder(GateCoder):
    def __init__(self, units: int, penalty: float, **rest: Any) -> None:
        super().__init__(units, **rest)
        self.penalty = check("penalty", penalty)

    def open(self, raw: Float[Tensor, "row unit"], x: Float[Tensor, "row d_in"]) -> Bool[Tensor, "row unit"]:
        return raw > 0

    def value(self, r: Readings) -> Tensor:
        return r.raw.relu()

    def cost(self, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"], now: Moment) -> Tensor:
        length = self.matrices["W_dec"].norm(dim=1)
        return now.ramp(self.warm_up) * self.penalty * r.mean(value * r.of(length)) / self.size

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        return ReLU(reads[0], writes[0], **self.folded(x, y), **meta)
