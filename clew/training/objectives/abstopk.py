"""Learn an AbsTopK autoencoder, whose units have two directions. Source: Zhu et al. 2025 (arXiv:2510.00404)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import AbsTopK, Dictionary
from clew.sites import Site
from clew.training.objective import Coder, Decoder, Moment, Scaling
from clew.training.objectives._sparse import Active
from clew.training.objectives.topk import TopKCoder


def abstopk(
    *,
    units: int,
    k: int,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """`units` axes of which k sum to an activation, forwards or backwards: the largest by size keep their sign.

    Args: as for `topk`. Raises: ValueError when k does not fit. An axis holds two half-lines, so a fair TopK to stand
    beside it has twice the units.
    """
    return AbsTopKCoder(units, k, lr=lr, decoder=decoder, dead_after=dead_after, half=half)


class AbsTopKCoder(TopKCoder):
    """TopK by size, with signs."""

    def choose(self, raw: Float[Tensor, "row unit"], now: Moment) -> Active:
        return Active.rows(self.strength(raw).topk(self.k, dim=1, sorted=False).indices, self.units)

    def strength(self, raw: Float[Tensor, "row unit"]) -> Float[Tensor, "row unit"]:
        return raw.abs()

    def shape(self, value: Float[Tensor, " active"]) -> Float[Tensor, " active"]:
        return value

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        return AbsTopK(reads[0], writes[0], k=self.k, **self.folded(x, y), **meta)
