"""From firings in the order of the text to rows of units, largest first: no model is run, and memory is that of one range.

A shard holds the units of a range: their rows (`start`, `place`, `value`), what is counted of them, and their nearest. Each
is made of all chunks, or of the part that stayed of them, so a killed run goes on with those that are missing and ends in
the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from clew.dictionaries import Dictionary
from clew.readings._recording import is_whole
from clew.readings.index._firings import Firings, by_token, order
from clew.readings.index._plan import chunk_path, is_thin, shard_path
from clew.readings.index._text import Text, check_offsets, write_arrays
from clew.readings.index.neighbours import Twin, by_cofiring, by_decoder
from clew.readings.index.parts import Part, extremes, last, quantiles, split, stays_of
from clew.readings.index.summary import QUANTILES, exact_quantiles, histogram, rough_quantiles
from clew.tensors import check_held, map_tensors

FIRINGS = 1 << 22
"""At most so many in a shard, but for a unit that has more alone."""
UNITS = 1 << 15
"""At most so many in a shard."""


def make_shards(folder: Path, site: str, about: Mapping[str, Any], text: Text, dictionary: Dictionary | None) -> None:
    """Write the shards of a site that are missing. Args: dictionary: for the nearest by decoder, where that can be had."""
    said = about["sites"][site]
    made = (_thin if is_thin(about, site) else _whole)(folder, site, about, text)
    for first, end in split(made.counts, FIRINGS, UNITS):
        path = shard_path(folder, site, first, end)
        if not is_whole(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            near = by_decoder(dictionary, first, end) if dictionary is not None and not said["everywhere"] else {}
            rows = made.rows(first, end)
            rows["place"] = rows["place"].astype(np.int32 if about["tokens"] < 1 << 31 else np.int64)
            write_arrays(path, {**rows, **near})


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of a site, before they are written."""

    counts: Int[np.ndarray, " unit"]
    """How many firings of each unit there are in them."""
    rows: Callable[[int, int], dict[str, np.ndarray]]
    """What is said of a range of units."""


def _whole(folder: Path, site: str, about: Mapping[str, Any], text: Text) -> _Rows:
    """Of all firings."""
    chunks = read_chunks(folder, about, site)
    counts, twin = _counts(chunks, about["sites"][site]["units"]), Twin(chunks)

    def rows(first: int, end: int) -> dict[str, np.ndarray]:
        unit, place, value = _gathered(chunks, first, end, end - first == len(counts))
        by = order(unit, value, end - first)
        unit, place, value = unit[by], place[by], value[by]
        start = np.append(0, counts[first:end].cumsum())
        low, high = extremes(unit, value, end - first)
        told = {"histogram": histogram(unit, value, end - first), "quantiles": exact_quantiles(start, value)}
        near = by_cofiring(start, place, first, twin, counts)
        return {
            "start": start,
            "place": place,
            "value": value,
            "count": counts[first:end],
            **told,
            "low": low,
            "high": high,
            **near,
        }

    return _Rows(counts, rows)


def _thin(folder: Path, site: str, about: Mapping[str, Any], text: Text) -> _Rows:
    """Of what stayed."""
    said = about["sites"][site]
    part = last(folder, site, said["units"], stays_of(about, site, text))
    counts = part.histogram.sum(1, dtype=np.int64)
    met = None if said["everywhere"] else _met(part, counts)

    def rows(first: int, end: int) -> dict[str, np.ndarray]:
        some, count = part.of(first, end), counts[first:end]
        largest = np.maximum(-some.low, some.high)
        sizes = rough_quantiles(some.histogram, largest) if met is None else quantiles(some, QUANTILES)
        told = {"count": count, "histogram": some.histogram, "quantiles": sizes, "low": some.low, "high": some.high}
        near = {} if met is None else met(first, end)
        return {"start": some.start, "place": some.place, "value": some.value, **told, **near}

    return _Rows(np.diff(part.start), rows)


def _met(part: Part, counts: Int[np.ndarray, " unit"]) -> Callable[[int, int], dict[str, np.ndarray]]:
    """The nearest by co-firing of a range of units, by the places that are kept for that."""
    places, index = np.unique(part.met_at, return_inverse=True)
    unit, found = np.repeat(np.arange(len(counts)), np.diff(part.met)), np.diff(part.met)
    by = index.argsort(kind="stable")
    twin = Twin([(0, by_token(index[by], unit[by], np.zeros(len(by), np.float16), len(places), len(counts)))])
    share = np.where(counts > 0, found / np.maximum(counts, 1), 1.0)

    def near(first: int, end: int) -> dict[str, np.ndarray]:
        a, b = part.met[[first, end]].tolist()
        return by_cofiring(part.met[first : end + 1] - a, index[a:b], first, twin, counts, share)

    return near


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
    held, tokens = map_tensors(path), set[int]()
    sites = {site: said for site, said in about["sites"].items() if not is_thin(about, site)}
    check_held(held, [f"{site}/{part}" for site in sites for part in ("start", "unit", "value")], str(path))
    for site, said in sites.items():
        firings = Firings.of(held, site)
        check_offsets(firings.start, len(firings.unit), f"{site}/start in {path}")
        units, halves = (np.uint16 if said["units"] <= 1 << 16 else np.int32), (np.float16, np.float32)
        kinds = firings.start.dtype == np.int32 and firings.unit.dtype == units and firings.value.dtype in halves
        if not kinds or firings.unit.shape != firings.value.shape or firings.unit.ndim != 1:
            raise ValueError(f"{site} in {path} is of other kinds of numbers than were written")
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
