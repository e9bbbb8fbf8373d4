"""Learn a crosscoder with a penalty on norms. Source: Lindsey et al. 2024, Sparse Crosscoders for Cross-Layer Features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import Crosscoder
from clew.sites import Site
from clew.training.objective import Decoder, Moment, Scaling
from clew.training.objectives._gates import GateCoder, Readings
from clew.training.objectives.crosscoder import Joint
from clew.training.objectives.relu import ReLUCoder


def crosscoder_l1(
    *,
    units: int,
    penalty: float = 0.1,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> GateCoder:
    """`units` directions through several sites at once; a code is paid for by the lengths it writes.

    Args:
        penalty: what is made small is the unexplained share of variance plus `penalty` times the mean sum, over units
            and sites, of |code| times the length of the unit's direction there, over the root of the variance.
        The others are as for `relu`.

    Shrinks units that matter at one site to nothing at the others (Minder et al. 2025); `crosscoder` does not.
    Differs from the source: the sum of the lengths is held at one, which changes no code that can be had.
    Raises: ValueError when an option does not fit, or for fewer than two sites.
    """
    return CrosscoderL1Coder(units, penalty, warm_up=warm_up, lr=lr, decoder=decoder, dead_after=dead_after)


class CrosscoderL1Coder(Joint, ReLUCoder):
    """ReLU over several sites."""

    def cost(self, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"], now: Moment) -> Tensor:
        lengths = self.lengths(self.tensors["W_dec"]).sum(1)
        return now.ramp(self.warm_up) * self.penalty * r.mean(value * r.of(lengths)) / self.size

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Crosscoder:
        return self.joined(x, y, **meta)
