"""Learn an AbsTopK autoencoder, whose units have two directions. Source: Zhu et al. 2025 (arXiv:2510.00404)."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import AbsTopK
from clew.training.objective import Clock
from clew.training.objectives._checks import check_k
from clew.training.objectives._coder import Coder, Decoder, Design
from clew.training.objectives._ranked import Ranked
from clew.training.objectives._revive import Revive
from clew.training.objectives._sparse import Active


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
    check_k(k, units)
    design = Design(
        Ranked(partial(furthest, k=k), shape=as_it_is, half=half), partial(AbsTopK, k=k), (Revive(by=torch.abs),)
    )
    return Coder(units, design, lr=lr, decoder=decoder, dead_after=dead_after)


def furthest(raw: Float[Tensor, "row unit"], now: Clock, *, k: int) -> Active:
    """The k largest of each row by size."""
    return Active.rows(raw.abs().topk(k, dim=1, sorted=False).indices, raw.shape[1])


def as_it_is(value: Float[Tensor, " active"]) -> Float[Tensor, " active"]:
    return value
