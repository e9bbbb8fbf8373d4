"""Firings in bands of equally many, by size, and some of each drawn at random."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from clew.readings.index._firings import drawn


def band_of(weight: Float[np.ndarray, " firing"], bands: int) -> Int[np.ndarray, " firing"]:
    """The band of each firing. Args: weight: how many each stands for, of the one of the largest size first."""
    middle = weight.cumsum() - weight / 2
    return np.minimum((middle * bands / max(1.0, weight.sum())).astype(np.int64), bands - 1)


def drawn_from(
    place: Int[np.ndarray, " firing"],
    weight: Float[np.ndarray, " firing"],
    window: Int[np.ndarray, " firing"],
    each: int,
    seed: int,
) -> Int[np.ndarray, " drawn"]:
    """Which of some firings are drawn, each by what it stands for, and of each window at most one.

    Source: Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir".
    """
    number = (drawn(place, seed) >> np.uint64(11)).astype(np.float64) / 2.0**53
    turn = (-np.log1p(-number) / weight).argsort(kind="stable")
    _, first = np.unique(window[turn], return_index=True)
    return turn[np.sort(first)[:each]]
