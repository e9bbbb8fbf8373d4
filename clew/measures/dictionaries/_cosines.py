"""Cosines between decoder directions, in blocks: nothing of size units x units is ever held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import Dictionary

BLOCK = 4096
BINS = 2**15
"""Of the histogram of |cos|: quantiles are good to 3e-5."""


def directions(dictionary: Dictionary) -> Float[Tensor, "unit d_out"]:
    """What one unit writes when it is 1. Raises: ValueError where a unit has several coordinates."""
    eye = torch.eye(dictionary.d_out)
    like = next((b for b in dictionary.buffers() if b.is_floating_point()), eye)
    rows = dictionary.pull(eye.to(like)).T
    if len(rows) != dictionary.n_units:
        raise ValueError(
            f"a unit of the {dictionary.kind} dictionary at {dictionary.writes} writes in several directions; cosines need "
            "dictionaries of one direction a unit"
        )
    return rows


def blocks(
    a: Float[Tensor, "unit d"], b: Float[Tensor, "other d"], *, upper: bool = False
) -> Iterator[tuple[slice, slice, Float[Tensor, "rows columns"]]]:
    """a @ b.T block by block; only blocks on and above the diagonal with `upper`."""
    for i in range(0, len(a), BLOCK):
        for j in range(i if upper else 0, len(b), BLOCK):
            yield slice(i, i + BLOCK), slice(j, j + BLOCK), a[i : i + BLOCK] @ b[j : j + BLOCK].T


@dataclass(frozen=True)
class Coherence:
    """Cosines between the different directions of one dictionary; units that write nothing are left out."""

    nearest: Float[np.ndarray, " unit"]
    """The largest cosine of each unit with another."""
    largest: Float[np.ndarray, " unit"]
    """The largest |cosine|, likewise."""
    share: Float[np.ndarray, " bin"]
    """Share of pairs with |cosine| below (i + 1) / BINS."""

    @property
    def top(self) -> float:
        """The coherence: the largest |cosine| of all pairs."""
        return float(self.largest.max())

    def quantile(self, q: Float[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
        """|cosine| of pairs, rounded up to a bin's edge."""
        return (np.searchsorted(self.share, q - 1e-12).clip(max=BINS - 1) + 1) / BINS


def coherence(rows: Float[Tensor, "unit d"]) -> Coherence:
    """Raises: ValueError with fewer than two directions."""
    rows = F.normalize(rows[rows.norm(dim=1) > 0], dim=1)
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} units write anything; coherence is of two or more")
    nearest = rows.new_full((len(rows),), -2.0)
    largest, counts = torch.zeros_like(nearest), torch.zeros(BINS, dtype=torch.long)
    for i, j, cosines in blocks(rows, rows, upper=True):
        size = cosines.abs().clamp(max=1)
        if i == j:
            cosines.fill_diagonal_(-2.0)
            size.fill_diagonal_(0.0)
        for at, axis in ((i, 1), (j, 0)):
            nearest[at] = nearest[at].maximum(cosines.amax(axis))
            largest[at] = largest[at].maximum(size.amax(axis))
        if i == j:
            size = size[torch.ones_like(size, dtype=torch.bool).triu(1)]
        counts += ((size * BINS).long().clamp(max=BINS - 1).reshape(-1)).bincount(minlength=BINS).cpu()
    share = counts.double().cumsum(0) / counts.sum()
    return Coherence(nearest.cpu().double().numpy(), largest.cpu().double().numpy(), share.numpy())


def nearest_cosines(
    a: Float[Tensor, "unit d"], b: Float[Tensor, "other d"]
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " other"]]:
    """The largest cosine of each row with a row of the other dictionary, both ways; rows of zeros give 0."""
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    mine, theirs = a.new_full((len(a),), -2.0), a.new_full((len(b),), -2.0)
    for i, j, cosines in blocks(a, b):
        mine[i] = mine[i].maximum(cosines.amax(1))
        theirs[j] = theirs[j].maximum(cosines.amax(0))
    return mine, theirs
