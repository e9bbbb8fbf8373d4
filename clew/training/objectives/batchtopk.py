"""Learn a BatchTopK autoencoder. Source: Bussmann et al. 2024 (arXiv:2412.06410)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import BatchTopK, Dictionary
from clew.sites import Site
from clew.training.objective import Coder, Decoder, Moment, Scaling
from clew.training.objectives._sparse import Active
from clew.training.objectives.topk import TopKCoder

RATE = 0.01
"""How fast the threshold follows the batches; faster at first, so that it forgets where it began."""


def batchtopk(
    *,
    units: int,
    k: int,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """`units` directions of which k sum to an activation on average: the k * batch largest of a batch survive.

    Afterwards a unit is active above one threshold for all: the running mean of each batch's smallest survivor.

    Args: as for `topk`. Raises: ValueError when k does not fit.
    """
    return BatchTopKCoder(units, k, lr=lr, decoder=decoder, dead_after=dead_after, half=half)


class BatchTopKCoder(TopKCoder):
    """Keeps the largest of a whole batch."""

    def start(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], g: torch.Generator) -> None:
        self.state["threshold"] = x.new_zeros(())
        super().start(x, y, g)

    def choose(self, raw: Float[Tensor, "row unit"], now: Moment) -> Active:
        return largest(raw, self.k * len(raw))

    def note(self, active: Active, value: Float[Tensor, " active"], loss: Tensor, now: Moment) -> None:
        super().note(active, value, loss, now)
        positive = value[value > 0]
        if len(positive):
            self.state["threshold"].lerp_(positive.min(), max(RATE, 1 / now.step))

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        threshold = y.size * self.state["threshold"]
        return BatchTopK(reads[0], writes[0], threshold=threshold, **self.folded(x, y), **meta)


def largest(raw: Float[Tensor, "row unit"], n: int) -> Active:
    """The n largest entries of the whole matrix.

    Searching all of it is dear, so each row gives its best few, and more where the last of a row would still belong.
    """
    rows, units = raw.shape
    few = min(units, 4 * -(-n // rows))
    while True:
        value, index = raw.topk(few, dim=1)
        chosen = value.flatten().topk(min(n, value.numel()), sorted=False)
        if few == units or bool((value[:, -1] <= chosen.values.min()).all()):
            break
        few = min(units, 4 * few)
    kept = torch.zeros(value.numel(), dtype=torch.bool, device=raw.device).index_fill_(0, chosen.indices, True)
    kept = kept.view_as(value)
    return Active(index[kept], kept.sum(1), units)
