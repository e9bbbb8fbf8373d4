"""From firings in the order of the text to rows of units, largest first: no model is run, and memory is that of one range.

A shard holds the units of a range: their rows (`start`, `place`, `value`), what is counted of them, and their nearest. Each
is made of all chunks and of nothing else, so a killed run goes on with those that are missing and ends in the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from clew.dictionaries import Dictionary
from clew.readings._recording import is_whole
from clew.readings.index._firings import Firings, chosen, order
from clew.readings.index._plan import chunk_path, shard_path
from clew.readings.index._text import Text, check_offsets, write_arrays
from clew.readings.index.neighbours import Twin, by_cofiring, by_decoder
from clew.readings.index.summary import BINS, exact_quantiles, histogram, rough_quantiles
from clew.tensors import check_held, map_tensors

FIRINGS = 1 << 24
"""At most so many in a shard, but for a unit that has more alone."""
UNITS = 1 << 15
"""At most so many in a shard."""


def make_shards(folder: Path, site: str, about: Mapping[str, Any], text: Text, dictionary: Dictionary | None) -> None:
    """Write the shards of a site that are missing. Args: dictionary: for the nearest by decoder, where that can be had."""
    chunks, said = read_chunks(folder, about, site), about["sites"][site]
    counts = _counts(chunks, said["units"])
    for first, end in _split(counts, FIRINGS, UNITS):
        path = shard_path(folder, site, first, end)
        if not is_whole(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, _shard(chunks, said, about, text, dictionary, counts, first, end))


def read_chunks(folder: Path, about: Mapping[str, Any], site: str) -> list[tuple[int, Firings]]:
    """(first token, what fires there) of each chunk, mapped. Raises: ValueError naming a broken file."""
    found: list[tuple[int, Firings]] = []
    first = 0
    for number in range(about["chunks"]):
        path = chunk_path(folder, number)
        firings = Firings.of(map_tensors(path), site)
        found.append((first, firings))
        first += len(firings.start) - 1
    return found


def check_chunk(path: Path, about: Mapping[str, Any]) -> int:
    """How many tokens a chunk is of. Raises: ValueError naming one that does not hold what was planned."""
    held, wanted, tokens = map_tensors(path), list[str](), set[int]()
    for site, said in about["sites"].items():
        parts = ("start", "unit", "value", "histogram") if said["everywhere"] else ("start", "unit", "value")
        wanted += [f"{site}/{part}" for part in parts]
    check_held(held, wanted, str(path))
    for site, said in about["sites"].items():
        firings = Firings.of(held, site)
        check_offsets(firings.start, len(firings.unit), f"{site}/start in {path}")
        units, halves = (np.uint16 if said["units"] <= 1 << 16 else np.int32), (np.float16, np.float32)
        kinds = firings.start.dtype == np.int32 and firings.unit.dtype == units and firings.value.dtype in halves
        if not kinds or firings.unit.shape != firings.value.shape or firings.unit.ndim != 1:
            raise ValueError(f"{site} in {path} is of other kinds of numbers than were written")
        if firings.histogram is not None and firings.histogram.shape != (said["units"], BINS):
            raise ValueError(f"{site}/histogram in {path} is of {firings.histogram.shape}, not of its units")
        tokens.add(len(firings.start) - 1)
    if len(tokens) != 1:
        raise ValueError(f"the sites in {path} are of different numbers of tokens: {sorted(tokens)}")
    return tokens.pop()


def _counts(chunks: Sequence[tuple[int, Firings]], units: int) -> Int[np.ndarray, " unit"]:
    """How many firings of each unit the chunks hold."""
    found = np.zeros(units, np.int64)
    for _, firings in chunks:
        found += np.bincount(firings.unit, minlength=units)
    return found


def _split(counts: Int[np.ndarray, " unit"], firings: int, units: int) -> list[tuple[int, int]]:
    """Ranges of units that have at most so many firings together, and are at most so many."""
    ends, found, first = counts.cumsum(), list[tuple[int, int]](), 0
    while first < len(counts):
        before = ends[first - 1] if first else 0
        end = min(
            max(int(np.searchsorted(ends, before + firings, side="right")), first + 1), first + units, len(counts)
        )
        found.append((first, end))
        first = end
    return found


def _gathered(
    chunks: Sequence[tuple[int, Firings]], first: int, end: int, whole: bool
) -> tuple[Shaped[np.ndarray, " firing"], Int[np.ndarray, " firing"], Shaped[np.ndarray, " firing"]]:
    """(unit, counted from the first of the range, place, value) of the firings of a range, in the order of the text."""
    units, places, values = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    for base, firings in chunks:
        at = slice(None) if whole else np.flatnonzero((firings.unit >= first) & (firings.unit < end))
        units.append((firings.unit[at] - firings.unit.dtype.type(first)).astype(np.uint32))
        places.append(firings.token[at] + base)
        values.append(firings.value[at])
    return np.concatenate(units), np.concatenate(places), np.concatenate(values)


def _shard(
    chunks: Sequence[tuple[int, Firings]],
    said: Mapping[str, Any],
    about: Mapping[str, Any],
    text: Text,
    dictionary: Dictionary | None,
    counts: Int[np.ndarray, " unit"],
    first: int,
    end: int,
) -> dict[str, np.ndarray]:
    """The tensors of a shard."""
    n = end - first
    unit, place, value = _gathered(chunks, first, end, n == len(counts))
    by = order(unit, value, n)
    unit, place, value = unit[by], place[by], value[by]
    start = np.append(0, counts[first:end].cumsum())
    near = by_decoder(dictionary, first, end) if dictionary is not None and not said["everywhere"] else {}
    if said["everywhere"]:
        bins = sum(
            (f.histogram[first:end] for _, f in chunks if f.histogram is not None), np.zeros((n, BINS), np.int32)
        )
    else:
        bins = histogram(unit, value, n)
        near |= by_cofiring(start, place, first, Twin(chunks), counts)
    low, high = _extremes(unit, value, n)
    largest = np.maximum(-low, high)
    quantiles = rough_quantiles(bins, largest) if said["everywhere"] else exact_quantiles(start, value)
    if said["everywhere"] or about["keep"] == "top":
        kept = chosen(unit, place, value, about["top"], about["sample"], about["seed"])
        if not said["everywhere"]:
            kept |= _beside(unit, place, kept, text)
        unit, place, value = unit[kept], place[kept], value[kept]
        start = np.append(0, np.bincount(unit, minlength=n).cumsum())
    rows = {"start": start, "place": place.astype(np.int32 if about["tokens"] < 1 << 31 else np.int64), "value": value}
    told = {"count": bins.sum(1, dtype=np.int64), "histogram": bins, "quantiles": quantiles}
    return {**rows, **told, "low": low, "high": high, **near}


def _extremes(unit: np.ndarray, value: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest value below zero and the highest above it of each unit; 0 where there is none."""
    found = np.zeros((2, n), np.float32)
    np.minimum.at(found[0], unit, value.astype(np.float32))
    np.maximum.at(found[1], unit, value.astype(np.float32))
    return found[0], found[1]


def _beside(unit: np.ndarray, place: np.ndarray, kept: np.ndarray, text: Text) -> np.ndarray:
    """Firings in a window in which another firing of the same unit is kept: a context shows where else the unit fires."""
    window = np.searchsorted(text.windows, place, side="right")
    key = unit.astype(np.int64) * (len(text.windows) + 1) + window
    return np.isin(key, key[kept])
