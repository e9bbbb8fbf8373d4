"""Sums by document: from them comes every number of a dictionary measure, and its interval over documents."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.report import Row
from clew.statistics.intervals import middle

DRAWS = 1000


class Documents:
    """Statistics summed in float64 by document, so that a ratio of sums is resampled as a ratio.

    Tokens of one document are alike, so documents are what is drawn. Memory is bounded: beyond `groups` documents
    several share a row (their number modulo `groups`), and then groups of documents are drawn.
    """

    def __init__(self, groups: int = 512) -> None:
        self.groups = groups
        self._tables: dict[str, Tensor] = {}
        self._seen: set[int] = set()

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self._seen)

    def add(self, document: Int[Tensor, " item"], **values: Tensor) -> None:
        """Add values [item, ...] to the sums of the documents they belong to."""
        document = document.cpu()
        self._seen.update(document.unique().tolist())
        for name, value in values.items():
            here, place = (document % self.groups).unique(return_inverse=True)
            # Float32 sums of 0 and 1 are exact up to 2**24, more than any batch holds.
            value = value.detach().float() if value.dtype == torch.bool else value.detach().cpu().double()
            sums = value.new_zeros(len(here), *value.shape[1:]).index_add_(0, place.to(value.device), value)
            self._table(name, value.shape[1:]).index_add_(0, here, sums.cpu().double())

    def count(self, name: str, document: Int[Tensor, " entry"], unit: Int[Tensor, " entry"], units: int) -> None:
        """Add 1 for each entry to the sum [unit] of its document."""
        self._seen.update(document.unique().tolist())
        cell = (document % self.groups) * units + unit
        self._table(name, (units,)).view(-1).add_(cell.bincount(minlength=self.groups * units))

    def _table(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in self._tables:
            self._tables[name] = torch.zeros(self.groups, *shape, dtype=torch.float64)
        return self._tables[name]

    def sums(self) -> Sums:
        """The sums of the whole text, and of every resample of its documents."""
        rows = sorted({d % self.groups for d in self._seen})
        random = np.random.default_rng(0)
        drawn = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=DRAWS).astype(np.float64)
        tables = {name: table[rows].numpy() for name, table in self._tables.items()}
        return Sums(tables, np.concatenate([np.ones((1, len(rows))), drawn]))

    def row(self, measure: str, values: np.ndarray, of: str = "", *, centred: bool = False) -> Row:
        """A row from a statistic of `sums()`, [1 + draw]: its value on the whole text, and the percentiles of the draws.

        One document, which would be drawn again and again, has no interval, nor has what is no finite number.

        Args: centred: move the interval so that the draws' mean lies on the value. A resample repeats documents, so it
            has more units that never fire, and varies less about its own mean, than a text of its size would; only the
            spread is real.
        """
        value, drawn = float(values[0]), values[1:]
        known = np.isfinite(drawn)
        if not known.any() or not np.isfinite(value) or len(self) < 2:
            return Row(measure, value, float("nan"), float("nan"), of, examples=len(self))
        if centred:
            drawn = np.clip(drawn + (value - drawn[known].mean()), 0, 1 if value <= 1 else None)
        return Row(measure, value, *middle(drawn), of, examples=len(self))


class Sums:
    """Summed statistics by name, each [1 + draw, ...]: first of the whole text, then of the resamples."""

    def __init__(self, tables: dict[str, np.ndarray], weights: Float[np.ndarray, "draw group"]) -> None:
        self.tables, self.weights = tables, weights

    def __contains__(self, name: str) -> bool:
        return name in self.tables

    def __getitem__(self, name: str) -> np.ndarray:
        table = self.tables[name]
        return (self.weights @ table.reshape(len(table), -1)).reshape(len(self.weights), *table.shape[1:])

    def mean(self, name: str, count: str = "n") -> np.ndarray:
        """A sum over the number of positions in it."""
        return ratio(self[name], self[count])


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below; not a number, and no warning, where there is nothing below."""
    with np.errstate(all="ignore"):
        return np.where(below == 0, np.nan, above / np.where(below == 0, 1, below))


def variance(square: np.ndarray, total: Float[np.ndarray, "draw d"], n: np.ndarray) -> np.ndarray:
    """Sum of squared distances from the mean, [draw, d], from the sums of squares and of values."""
    return square - total**2 / n[:, None]
