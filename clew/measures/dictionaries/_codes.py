"""Codes of a text kept as indices and values: which units fire together, and what a linear map reads from them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.measures._documents import Documents, ratio

BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Codes:
    """The codes of a text that are not 0; 20 bytes or so for each."""

    token: Int[Tensor, " entry"]
    unit: Int[Tensor, " entry"]
    value: Float[Tensor, " entry"]
    tokens: int
    units: int

    @classmethod
    def gather(cls, codes: list[Float[Tensor, "_ unit"]]) -> Codes:
        """Of sparse tensors, one a batch."""
        whole = torch.cat([code.cpu() for code in codes]).coalesce()
        token, unit = whole.indices()
        return cls(token, unit, whole.values(), *whole.shape)

    def of(self, chosen: Bool[Tensor, " token"]) -> Codes:
        """Of some tokens, numbered anew."""
        number, here = chosen.cumsum(0) - 1, chosen[self.token]
        return Codes(number[self.token[here]], self.unit[here], self.value[here], int(chosen.sum()), self.units)

    def on(self, first: int = 0, last: int | None = None) -> Float[Tensor, "unit token"]:
        """1 where a unit fires, sparse; of the units from `first` to `last`."""
        last = self.units if last is None else min(last, self.units)
        here = (self.unit >= first) & (self.unit < last)
        index, size = torch.stack([self.unit[here] - first, self.token[here]]), (last - first, self.tokens)
        return torch.sparse_coo_tensor(index, torch.ones(int(here.sum())), size, check_invariants=False).coalesce()

    def with_constant(self) -> Float[Tensor, "token column"]:
        """The codes as a sparse float64 matrix with a last column of ones."""
        every = torch.arange(self.tokens)
        index = torch.stack(
            [torch.cat([self.token, every]), torch.cat([self.unit, torch.full_like(every, self.units)])]
        )
        value = torch.cat([self.value.double(), torch.ones(self.tokens, dtype=torch.float64)])
        size = (self.tokens, self.units + 1)
        return torch.sparse_coo_tensor(index, value, size, check_invariants=False).coalesce()


def firing_jaccard(
    mine: Codes, other: Codes, document: Int[Tensor, " token"]
) -> tuple[Documents, Float[np.ndarray, " draw"]]:
    """Mean over units of the Jaccard index of the tokens at which a unit and its best partner fire.

    The partner is the unit of the other dictionary with the largest index on the whole text, and stays in resamples.
    Returns: the documents, and the mean over the units that fire, for `Documents.row`.
    """
    partner = _partners(mine, other)
    there = (other.token * other.units + other.unit).sort().values  # a pair (token, unit) as one number
    asked = mine.token * other.units + partner[mine.unit]
    met = torch.isin(asked, there)
    by = Documents(groups=64)
    by.count("both", document[mine.token[met]], mine.unit[met], mine.units)
    by.count("mine", document[mine.token], mine.unit, mine.units)
    by.count("theirs", document[other.token], other.unit, other.units)
    sums = by.sums()
    total, number = np.zeros(len(sums.weights)), np.zeros(len(sums.weights))
    for some in np.array_split(np.arange(mine.units), -(-mine.units // BLOCK)):
        columns = {"both": some, "mine": some, "theirs": partner.numpy()[some]}
        both, one, two = (sums.weights @ sums.tables[name][:, at] for name, at in columns.items())
        index = ratio(both, one + two - both)
        index[one == 0] = np.nan
        total, number = total + np.nansum(index, axis=1), number + np.isfinite(index).sum(1)
    return by, ratio(total, number)


def _partners(mine: Codes, other: Codes) -> Int[Tensor, " unit"]:
    count, others = (c.unit.bincount(minlength=c.units) for c in (mine, other))
    partner, theirs = torch.zeros(mine.units, dtype=torch.long), other.on().t()
    for first in range(0, mine.units, BLOCK):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            both = torch.sparse.mm(mine.on(first, first + BLOCK), theirs).coalesce()
        unit, match = both.indices()
        shared = both.values().double()
        index = shared / (count[unit + first] + others[match] - shared)
        best = index.new_zeros(min(BLOCK, mine.units - first)).scatter_reduce(0, unit, index, "amax")
        chosen = index == best[unit]
        partner[unit[chosen] + first] = match[chosen]
    return partner


def ridge_map(
    codes: Codes, y: Float[Tensor, "token d"], *, ridge: float, rounds: int = 200
) -> Float[Tensor, "column d"]:
    """The affine map from codes to y of least squared error + ridge, its last row the constant; float64.

    Conjugate gradients on the normal equations, which are never formed, so that wide dictionaries are no trouble.
    Args: ridge: in units of the mean sum of squares of a unit that fires.
    """
    x, y = codes.with_constant(), y.double()
    size = torch.zeros(codes.units + 1, dtype=torch.float64).index_add_(0, x.indices()[1], x.values().square())
    weight = ridge * size[size > 0].mean()
    scale = 1 / (size + weight)[:, None]
    across = x.t().coalesce()
    left = torch.sparse.mm(across, y)
    found, start = torch.zeros_like(left), left.norm(dim=0)
    better = scale * left
    step, slope = better, (left * better).sum(0)
    for _ in range(rounds):
        if bool((left.norm(dim=0) <= 1e-9 * start).all()):
            break
        pushed = torch.sparse.mm(across, torch.sparse.mm(x, step)) + weight * step
        far = _safe(slope, (step * pushed).sum(0))
        found, left = found + far * step, left - far * pushed
        better = scale * left
        step, slope = better + _safe((left * better).sum(0), slope) * step, (left * better).sum(0)
    return found


def _safe(above: Tensor, below: Tensor) -> Tensor:
    """above / below; 0 for columns that are solved already."""
    return torch.where(below > 0, above / below.clamp(min=1e-300), torch.zeros_like(above))
