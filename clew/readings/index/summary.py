"""What is counted of each unit: how often it fires, on which side, and how strongly.

A histogram has two bins an octave on each side of zero, the same for all units and texts, so that histograms of parts add
up. The outermost hold what is beyond, and the two innermost what is smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from clew.tables import frame

LOWEST, HIGHEST = -28, 32
"""Half octaves of the sizes that have a bin of their own: 2⁻¹⁴ to 2¹⁶."""
BINS = 2 * (HIGHEST - LOWEST)
_up = 2.0 ** (np.arange(LOWEST + 1, HIGHEST + 1) / 2)
EDGES: Float[np.ndarray, " edge"] = np.concatenate([-_up[::-1], [0.0], _up])
"""Of the bins, ascending."""
QUANTILES = np.arange(11) / 10
"""Those of the size that are kept; the first is the smallest, the last the largest."""


COLUMNS = ("count", "density", "positive", "negative", "low", "high", "max")
"""What a frame holds of each unit."""


@dataclass(frozen=True, eq=False)
class Summary:
    """The units of one site over a text."""

    count: Int[np.ndarray, " unit"]
    """At how many positions it fires."""
    positions: int
    """At how many it could have."""
    histogram: Int[np.ndarray, "unit bin"]
    """Of its values, between EDGES."""
    quantiles: Float[np.ndarray, "unit quantile"]
    """Of the sizes of its values, at QUANTILES; 0 for a unit that never fires. Read off the histogram where not all firings
    were kept to be sorted, as those of neurons, and then right within half an octave."""
    low: Float[np.ndarray, " unit"]
    """Its lowest value, 0 if it is never negative."""
    high: Float[np.ndarray, " unit"]
    """Its highest value, 0 if it is never positive."""

    @cached_property
    def density(self) -> Float[np.ndarray, " unit"]:
        """Share of the positions at which it fires."""
        return self.count / max(1, self.positions)

    @cached_property
    def positive(self) -> Float[np.ndarray, " unit"]:
        """Share of its firings above zero; 0 for a unit that never fires."""
        return self.histogram[:, BINS // 2 :].sum(1) / np.maximum(self.count, 1)

    @cached_property
    def negative(self) -> Float[np.ndarray, " unit"]:
        """Share of its firings below zero."""
        return self.histogram[:, : BINS // 2].sum(1) / np.maximum(self.count, 1)

    @property
    def max(self) -> Float[np.ndarray, " unit"]:
        """The size of its largest value."""
        return self.quantiles[:, -1]

    def to_frame(self) -> Any:
        """A row for each unit as a pandas DataFrame, but for the histogram. Raises: ImportError without pandas."""
        told = {name: getattr(self, name).tolist() for name in COLUMNS}
        rows = [dict(zip(told, row, strict=True)) for row in zip(*told.values(), strict=True)]
        return frame([{"unit": i, **row} for i, row in enumerate(rows)], ["unit", *COLUMNS])

    def __repr__(self) -> str:
        dead = int((self.count == 0).sum())
        return f"Summary({len(self.count)} units over {self.positions} positions, {dead} of which never fire)"


def bin_of(value: Float[np.ndarray, " firing"]) -> Int[np.ndarray, " firing"]:
    """The bin of each value; none is 0."""
    size, exponent = np.frexp(np.abs(value).astype(np.float32))
    half = np.clip(2 * (exponent.astype(np.int64) - 1) + (size >= 0.5**0.5), LOWEST, HIGHEST - 1) - LOWEST
    return np.where(value > 0, BINS // 2 + half, BINS // 2 - 1 - half)


def histogram(
    unit: Shaped[np.ndarray, " firing"], value: Float[np.ndarray, " firing"], units: int
) -> Int[np.ndarray, "unit bin"]:
    """How many firings of each unit are in each bin."""
    flat = unit.astype(np.int64) * BINS + bin_of(value)
    return np.bincount(flat, minlength=units * BINS).reshape(units, BINS).astype(np.int32)


def exact_quantiles(
    start: Int[np.ndarray, " row"], value: Float[np.ndarray, " firing"]
) -> Float[np.ndarray, "unit quantile"]:
    """Of the sizes in rows that are sorted, the largest first: the nearest value that there is."""
    count = np.diff(start)[:, None]
    place = start[:-1, None] + np.rint((1 - QUANTILES) * (count - 1)).astype(np.int64)
    size = np.abs(np.append(value, value.dtype.type(0)).astype(np.float32))
    return np.where(count > 0, size[np.where(count > 0, place, -1)], np.float32(0))


def rough_quantiles(
    counts: Int[np.ndarray, "unit bin"], largest: Float[np.ndarray, " unit"]
) -> Float[np.ndarray, "unit quantile"]:
    """Of the sizes that a histogram has counted, on a line of logarithms inside each bin; the last one is the largest."""
    half = BINS // 2
    sizes = (counts[:, half:] + counts[:, :half][:, ::-1]).cumsum(1)
    total, low = sizes[:, -1:], np.arange(LOWEST, HIGHEST) / 2
    found = np.zeros((len(counts), len(QUANTILES)), np.float32)
    for i, q in enumerate(QUANTILES):
        wanted = q * np.maximum(total[:, 0] - 1, 0)
        at = np.minimum((sizes <= wanted[:, None]).sum(1), half - 1)
        after = np.take_along_axis(sizes, at[:, None], 1)[:, 0]
        before = np.where(at > 0, np.take_along_axis(sizes, np.maximum(at - 1, 0)[:, None], 1)[:, 0], 0)
        inside = (wanted - before) / np.maximum(after - before, 1)
        found[:, i] = np.where(total[:, 0] > 0, 2.0 ** (low[at] + inside / 2), 0)
    found[:, -1] = largest
    return np.minimum(found, largest[:, None])
