"""Firings as rows of numbers: how they are kept in a file, put into order, and thinned to the top and a sample.

A firing is (unit, place, value). Values are of float16, or of float32 where one is too large for that; what is smaller
than the smallest number of float16 is kept as that, so that it still fires. Where the text is the order, a compressed row
holds a token's units; where the unit is, it holds a unit's places, the largest value first and equals as they stand in the
text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt

from clew.readings.index.summary import BINS, bin_of

ORDINALS = 24
"""Bits of a place in a list that is sorted by one packed number; 16 more are the value's and the rest the unit's."""
SMALLEST = 2.0**-24
LARGEST = 65504.0
"""Of float16."""

Halves = Float[np.ndarray, " firing"]
Units = Shaped[np.ndarray, " firing"]
Places = Int[np.ndarray, " firing"]


@dataclass(frozen=True, eq=False)
class Firings:
    """What fires at one site in a run of tokens, token after token: a compressed row each."""

    start: Int[np.ndarray, " token_and_one"]
    unit: Units
    value: Halves

    @property
    def token(self) -> Places:
        """Of each firing, which token it is at."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def tensors(self, name: str) -> dict[str, np.ndarray]:
        """As they are kept in a file, under a site's name."""
        return {f"{name}/start": self.start.astype(np.int32), f"{name}/unit": self.unit, f"{name}/value": self.value}

    @classmethod
    def of(cls, tensors: dict[str, np.ndarray], name: str) -> Firings:
        """What `tensors` gave."""
        start, unit, value = (tensors[f"{name}/{part}"] for part in ("start", "unit", "value"))
        return cls(start, unit, value)


def by_token(token: Places, unit: Places, value: Halves, tokens: int, units: int) -> Firings:
    """Firings that come in the order of the text, as compressed rows."""
    start = np.concatenate([[0], np.cumsum(np.bincount(token, minlength=tokens))])
    return Firings(start, unit.astype(np.uint16 if units <= 1 << 16 else np.int32), value)


def narrow(value: Float[np.ndarray, " firing"]) -> Halves:
    """Values as they are kept: see the top of this file."""
    size = np.abs(value)
    if size.size and size.max() > LARGEST:
        return value.astype(np.float32)
    return np.where(size < SMALLEST, np.copysign(np.float32(SMALLEST), value), value).astype(np.float16)


def order(unit: Units, value: Halves, units: int) -> Int[np.ndarray, " firing"]:
    """Which firing comes where: by unit, the largest size first, equals as they come."""
    if value.dtype == np.float16 and len(unit) < 1 << ORDINALS and units < 1 << (48 - ORDINALS):
        size = 0x7FFF - np.abs(value).view(np.uint16).astype(np.uint64)
        key = unit.astype(np.uint64) << np.uint64(16 + ORDINALS) | size << np.uint64(ORDINALS)
        key |= np.arange(len(unit), dtype=np.uint64)
        key.sort()
        return (key & np.uint64((1 << ORDINALS) - 1)).astype(np.int64)
    return np.lexsort((-np.abs(value.astype(np.float32)), unit))


def drawn(place: Places, seed: int) -> UInt[np.ndarray, " firing"]:
    """A random number for each place that depends on the seed and the place alone (splitmix64)."""
    with np.errstate(over="ignore"):
        x = place.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return x ^ x >> np.uint64(31)


def chosen(unit: Units, place: Places, value: Halves, top: int, sample: int, seed: int) -> Bool[np.ndarray, " firing"]:
    """Of firings in order, those that stay in a small store: each unit's top on either side, and its sample.

    Both can be taken of parts, and then of what was taken: the top of tops is the top, and so with the least numbers.
    """
    kept = sampled(unit, place, value, sample, seed)
    for side in (value > 0, value < 0):
        there = np.flatnonzero(side)
        kept[there[rank(unit[there]) < top]] = True
    return kept


def sampled(unit: Units, place: Places, value: Halves, sample: int, seed: int) -> Bool[np.ndarray, " firing"]:
    """The `sample` firings of every octave and side of a unit that drew the least numbers."""
    group = unit.astype(np.int64) * (BINS // 2) + bin_of(value) // 2
    _, inverse, count = np.unique(group, return_inverse=True, return_counts=True)
    kept = count[inverse] <= sample
    crowded = np.flatnonzero(~kept)
    number, group = drawn(place[crowded], seed), inverse[crowded]
    likely = number < (sample + 8 * sample**0.5 + 16) / count[group] * 2.0**64
    enough = np.bincount(group[likely], minlength=len(count)) >= sample
    likely |= ~enough[group]  # which hardly ever happens
    crowded, number, group = crowded[likely], number[likely], group[likely]
    by = np.lexsort((number, group))
    kept[crowded[by[rank(group[by]) < sample]]] = True
    return kept


def rank(group: Shaped[np.ndarray, " item"]) -> Int[np.ndarray, " item"]:
    """How many of an item's group come before it; groups lie together."""
    first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]])) if len(group) else np.zeros(0, np.int64)
    return np.arange(len(group)) - np.repeat(first, np.diff(np.append(first, len(group))))
