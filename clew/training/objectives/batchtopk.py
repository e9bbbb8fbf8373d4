"""Learn a BatchTopK autoencoder. Source: Bussmann et al. 2024 (arXiv:2412.06410)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import BatchTopK
from clew.training.objective import Clock, Scaling
from clew.training.objectives._checks import check_k
from clew.training.objectives._coder import Coder, Decoder, Design, Pass
from clew.training.objectives._ranked import Ranked
from clew.training.objectives._revive import Revive
from clew.training.objectives._sparse import Active

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
    return Coder(units, design(units, k, half), lr=lr, decoder=decoder, dead_after=dead_after)


def design(units: int, k: int, half: bool | None) -> Design:
    """What all that keep the largest of a batch share. Raises: ValueError when k does not fit."""
    choose = partial(of_batch, k=check_k(k, units))
    return Design(Ranked(choose, half=half), BatchTopK, (Revive(),), begin=begin, note=follow, fold=with_threshold)


def of_batch(raw: Float[Tensor, "row unit"], now: Clock, *, k: int) -> Active:
    return largest(raw, k * len(raw))


def begin(coder: Coder, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"]) -> None:
    coder.state["threshold"] = x.new_zeros(())


def follow(coder: Coder, seen: Pass) -> None:
    """Let the threshold follow the smallest survivor of the batch."""
    value = seen.value.detach()
    positive = value[value > 0]
    if len(positive):
        coder.state["threshold"].lerp_(positive.min(), max(RATE, 1 / seen.now.step))


def with_threshold(coder: Coder, given: dict[str, Any], x: Scaling, y: Scaling) -> dict[str, Any]:
    return given | {"threshold": y.size * coder.state["threshold"]}


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
