"""Collect an ITDA dictionary. Source: Leask et al. 2025 (arXiv:2505.17769)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.itda import ITDA, pursue, values
from clew.sites import Site
from clew.training.loop import Progress, batches

SAME = 0.999
"""Two activations with a cosine above this are one atom."""


def itda(
    x: Float[Tensor, "token d_in"] | Iterable[Tensor],
    *,
    reads: Site | str,
    units: int,
    k: int,
    steps: int,
    batch: int = 512,
    seed: int = 0,
    progress: Progress | None = None,
) -> ITDA:
    """Go through activations once and keep those that the atoms so far explain worst.

    Args:
        x: activations, or an iterable of batches of them (then each is one step, and `batch` is not used).
        steps: batches to look at; each adds its share of the `units`.
        progress: called with (step, steps, mean unexplained fraction of this batch's activations).

    Returns: an ITDA dictionary in the units of x, of at most `units` atoms (fewer if the stream ends early or
    all is explained). Differs from the paper: a fixed number of worst activations is added per batch instead of
    all above a threshold, so that the size is known beforehand, and activations are centred.
    Raises: ValueError when k or the sizes do not fit.
    """
    if not 1 <= k <= units:
        raise ValueError(f"k is {k}; it must lie between 1 and the number of units, {units}")
    data = batches(x, batch, seed)
    atoms, gram = data.first.new_empty(0, data.first.shape[1]), data.first.new_empty(0, 0)
    for step, some in enumerate(itertools.islice(data, steps), 1):
        wanted = units * step // steps - len(atoms)
        rows = F.normalize(some, dim=1)
        left = rows if not len(atoms) else rows - _explained(rows, atoms, gram, k)
        worst = left.square().sum(1)
        # An activation that is an atom already leaves nothing, so only this batch's rows must be compared.
        new = _distinct(rows[worst.argsort(descending=True)[: 2 * wanted]])[:wanted]
        across = atoms @ new.T
        gram = torch.cat([torch.cat([gram, across], 1), torch.cat([across.T, new @ new.T], 1)])
        atoms = torch.cat([atoms, new])
        if progress:
            progress(step, steps, float(worst.mean()))
    return ITDA(reads, atoms=atoms, b_dec=data.centre, k=min(k, len(atoms)), seed=seed)


def _explained(rows: Tensor, atoms: Tensor, gram: Tensor, k: int) -> Float[Tensor, "token d"]:
    products = rows @ atoms.T
    picked = pursue(products, gram, k)
    return F.embedding_bag(picked, atoms, per_sample_weights=values(products, gram, picked), mode="sum")


def _distinct(rows: Float[Tensor, "token d"]) -> Float[Tensor, "some d"]:
    """Without those that point where an earlier one points."""
    alike = (rows @ rows.T).abs() > SAME
    return rows[~alike.tril(-1).any(dim=1)]
