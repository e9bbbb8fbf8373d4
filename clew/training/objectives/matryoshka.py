"""Learn a Matryoshka autoencoder: the first units alone must do, then the first more, ...

Source: Bussmann et al. 2025 (arXiv:2503.17547). General features stay whole in the early units instead of being split
among, or absorbed by, special ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from clew.training.objective import Coder, Decoder, Moment
from clew.training.objectives._sparse import write
from clew.training.objectives.batchtopk import BatchTopKCoder


def matryoshka(
    *,
    units: int,
    k: int,
    prefixes: Sequence[float] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0),
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """A BatchTopK autoencoder whose loss is the mean over nested prefixes of its units.

    Args:
        prefixes: shares of the units, rising to 1.
        The others are as for `topk`.

    All prefixes together cost one decoding: block after block is added to what stands. Differs from the paper: equal
    weights, fixed prefixes. Raises: ValueError when k or the prefixes do not fit.
    """
    return MatryoshkaCoder(units, k, prefixes, lr=lr, decoder=decoder, dead_after=dead_after, half=half)


class MatryoshkaCoder(BatchTopKCoder):
    """BatchTopK with a loss per prefix."""

    def __init__(self, units: int, k: int, prefixes: Sequence[float], **rest: Any) -> None:
        super().__init__(units, k, **rest)
        self.ends = [round(share * units) for share in prefixes]
        if sorted(set(self.ends)) != self.ends or not self.ends or self.ends[0] < 1 or self.ends[-1] != units:
            raise ValueError(
                f"prefixes are {list(prefixes)}; of {units} units they must rise, hold at least one unit each, and end in 1"
            )

    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Moment) -> Float[Tensor, ""]:
        active, value = self.active(x, now)
        error, losses = self.tensors["b_dec"] - y, []
        for first, end in zip([0, *self.ends], self.ends, strict=False):
            inside = (active.unit >= first) & (active.unit < end)
            error = error + write(value[inside], self.tensors["W_dec"], active.where(inside))
            losses.append(self.unexplained(error))
        self.note(active, value.detach(), losses[-1], now)
        return sum(losses[1:], losses[0]) / len(losses) + self.auxiliary(x, -error)
