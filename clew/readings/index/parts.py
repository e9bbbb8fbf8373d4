"""What stays of the firings of a run of chunks, where not all are kept: rows of units and what is counted, in bounded room.

A part of two runs that lie side by side is made of the parts of each, and is the same whatever came together first: it has
the top of their tops, of either sample the firings that drew the least numbers, sums of counts. So two halves make room for
their part as soon as it is there, and what lies on the disk is a few times what is kept in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt

from clew.readings._recording import is_whole
from clew.readings.index._firings import chosen, drawn, order, rank
from clew.readings.index._plan import PARTS, part_path, ranges
from clew.readings.index._text import Text, check_offsets, write_arrays
from clew.readings.index.summary import histogram
from clew.tensors import check_held, map_tensors

MET = 512
"""Places of each unit by which co-firing is told: those that drew the least numbers, the same numbers for all units."""
SIZES = 512
"""Different sizes of each unit that are told apart exactly; where there are more, 64 an octave are."""
FINE, ROUGH = 13, 17
"""Bits of a float32 that are left out of a size: what float16 does not have, and what is beyond 64 an octave."""
AT_ONCE = 1 << 22
"""Firings that are put into order at once."""


@dataclass(frozen=True)
class Stays:
    """What stays of each unit."""

    top: int
    sample: int
    seed: int
    windows: Int[np.ndarray, " window_and_one"] | None
    """Of the text, where a context shows where else the unit fires; None of units that fire everywhere."""


def stays_of(about: Mapping[str, Any], site: str, text: Text) -> Stays:
    """What stays of the units of a site of which not all firings do."""
    windows = None if about["sites"][site]["everywhere"] else text.windows
    return Stays(about["top"], about["sample"], about["seed"], windows)


@dataclass(frozen=True, eq=False)
class Part:
    """The units of a site over a run of the text."""

    start: Int[np.ndarray, " unit_and_one"]
    """Where the row of each unit begins: its firings that stay, the largest size first, equals as they stand in the text."""
    place: Int[np.ndarray, " firing"]
    value: Float[np.ndarray, " firing"]
    histogram: Int[np.ndarray, "unit bin"]
    """Of all firings, as what follows is."""
    low: Float[np.ndarray, " unit"]
    high: Float[np.ndarray, " unit"]
    sizes: Int[np.ndarray, " unit_and_one"]
    """Where the different sizes of each unit begin, the largest first; of units that fire everywhere there are none."""
    size: Float[np.ndarray, " size"]
    times: Int[np.ndarray, " size"]
    rough: Bool[np.ndarray, " unit"]
    """Whether these are rounded down."""
    met: Int[np.ndarray, " unit_and_one"]
    """Where the places of each unit begin by which co-firing is told, as they stand in the text."""
    met_at: Int[np.ndarray, " place"]

    def save(self, path: Path) -> None:
        """Write the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {column.name: getattr(self, column.name) for column in fields(self)}
        write_arrays(path, {**arrays, "rough": self.rough.view(np.uint8)})

    @classmethod
    def load(cls, path: Path, units: int) -> Part:
        """Map what `save` wrote. Raises: ValueError naming the file and what is wrong with it."""
        held = map_tensors(path)
        check_held(held, [column.name for column in fields(cls)], str(path))
        for start, of in (("start", "value"), ("start", "place"), ("sizes", "size"), ("met", "met_at")):
            check_offsets(held[start], len(held[of]), f"{start} in {path}")
        if any(len(held[start]) != units + 1 for start in ("start", "sizes", "met")):
            raise ValueError(f"{path} is not of {units} units")
        for name in ("low", "high", "size", "value"):
            if not np.isfinite(held[name]).all():
                raise ValueError(f"{name} in {path} holds what is no finite number")
        return cls(**{**held, "rough": held["rough"].view(bool)})

    def of(self, first: int, end: int) -> Part:
        """A range of the units."""
        told: dict[str, Any] = {name: getattr(self, name)[first:end] for name in ("histogram", "low", "high", "rough")}
        for start, columns in {"start": ("place", "value"), "sizes": ("size", "times"), "met": ("met_at",)}.items():
            a, b = getattr(self, start)[[first, end]].tolist()
            told[start] = getattr(self, start)[first : end + 1] - a
            told |= {name: getattr(self, name)[a:b] for name in columns}
        return Part(**told)


def part_of(
    unit: Shaped[np.ndarray, " firing"],
    place: Int[np.ndarray, " firing"],
    value: Float[np.ndarray, " firing"],
    units: int,
    stays: Stays,
) -> Part:
    """What stays of firings that come in the order of the text. Args: units: how many there are."""
    start = np.append(0, np.bincount(unit, minlength=units).cumsum())
    by = order(unit, value, units)
    unit, place, value = unit[by], place[by], value[by]
    told = histogram(unit, value, units), *extremes(unit, value, units)
    seen = len(unit) if stays.windows is not None else 0
    size, times, rough = np.abs(value[:seen].astype(np.float32)), np.ones(seen, np.int32), np.zeros(units, bool)
    apart = start if seen else np.zeros_like(start)
    return _thinned(Part(start, place, value, *told, apart, size, times, rough, apart, place[:seen]), stays)


def joined(parts: Sequence[Part], stays: Stays) -> Part:
    """The part of runs that follow each other."""
    held = sum(
        (np.diff(column) for part in parts for column in (part.start, part.sizes, part.met)), np.zeros(1, np.int64)
    )
    ranges = split(held, AT_ONCE, len(held))
    return stacked([_thinned(_together([part.of(*some) for part in parts]), stays) for some in ranges])


def stacked(parts: Sequence[Part]) -> Part:
    """Ranges of units one after the other."""
    found: dict[str, np.ndarray] = {}
    for column in fields(Part):
        name, held = column.name, [getattr(part, column.name) for part in parts]
        if name in ("start", "sizes", "met"):
            held = [np.zeros(1, np.int64), np.concatenate([np.diff(one) for one in held]).cumsum()]
        found[name] = np.concatenate(held)
    return Part(**found)


def keep_part(folder: Path, site: str, part: Part, number: int, share: range, stays: Stays) -> None:
    """Write what stays of a chunk, and make one part of two halves as often as can be.

    Args: share: the chunks of this process, which touches no part of others.
    """
    part.save(part_path(folder, site, number, number + 1))
    units = len(part.low)
    while halves := next(_halves(live(folder, site), share), None):
        (first, _), (_, end) = halves
        joined([Part.load(part_path(folder, site, *pair), units) for pair in halves], stays).save(
            part_path(folder, site, first, end)
        )
        _clear(folder, site)


def live(folder: Path, site: str) -> list[tuple[int, int]]:
    """The runs of chunks of which there are parts, ascending; a part that is in another one is left out."""
    found = [pair for pair in ranges(folder / PARTS, site) if is_whole(part_path(folder, site, *pair))]
    return [pair for pair in found if not _is_inside(pair, found)]


def last(folder: Path, site: str, units: int, stays: Stays) -> Part:
    """The part of all chunks, once there are parts of all."""
    if len(runs := live(folder, site)) > 1:
        _join(folder, site, runs, units, stays)
    return Part.load(part_path(folder, site, runs[0][0], runs[-1][1]), units)


def _join(folder: Path, site: str, runs: Sequence[tuple[int, int]], units: int, stays: Stays) -> None:
    """Write the part of runs that follow each other."""
    parts = [Part.load(part_path(folder, site, *run), units) for run in runs]
    joined(parts, stays).save(part_path(folder, site, runs[0][0], runs[-1][1]))


def _halves(runs: Sequence[tuple[int, int]], share: range) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Neighbours that are equally long and together begin at a multiple of their length."""
    for a, b in pairwise(runs):
        length = b[1] - a[0]
        if a[1] == b[0] and a[1] - a[0] == b[1] - b[0] and a[0] % length == 0 and a[0] in share and b[1] - 1 in share:
            yield a, b


def _clear(folder: Path, site: str) -> None:
    """Take away what is in another part."""
    found = ranges(folder / PARTS, site)
    for pair in found:
        if _is_inside(pair, found):
            part_path(folder, site, *pair).unlink(missing_ok=True)


def _is_inside(pair: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
    return any(other != pair and other[0] <= pair[0] and pair[1] <= other[1] for other in others)


def split(counts: Int[np.ndarray, " unit"], firings: int, units: int) -> list[tuple[int, int]]:
    """Ranges of units that have at most so many firings together, and are at most so many."""
    ends, found, first = counts.cumsum(), list[tuple[int, int]](), 0
    while first < len(counts):
        before = ends[first - 1] if first else 0
        fit = max(int(np.searchsorted(ends, before + firings, side="right")), first + 1)
        found.append((first, min(fit, first + units, len(counts))))
        first = found[-1][1]
    return found


def extremes(unit: np.ndarray, value: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest value below zero and the highest above it of each unit; 0 where there is none."""
    found = np.zeros((2, units), np.float32)
    np.minimum.at(found[0], unit, value.astype(np.float32))
    np.maximum.at(found[1], unit, value.astype(np.float32))
    return found[0], found[1]


def quantiles(part: Part, at: Float[np.ndarray, " quantile"]) -> Float[np.ndarray, "unit quantile"]:
    """Of all sizes, as exact as they are told apart: the nearest size that there is."""
    passed = np.append(0, part.times.cumsum(dtype=np.int64))
    before, count = passed[part.sizes[:-1]][:, None], np.diff(passed[part.sizes])[:, None]
    place = before + np.rint((1 - at) * (count - 1)).astype(np.int64)
    entry = np.searchsorted(passed, place, side="right") - 1
    size = np.append(_middle(part), np.float32(0))
    found = np.where(count > 0, size[np.where(count > 0, entry, -1)], np.float32(0))
    largest = np.maximum(-part.low, part.high)[:, None]
    return np.where(at == 1, largest, np.minimum(found, largest))


def _middle(part: Part) -> Float[np.ndarray, " size"]:
    """Sizes that were rounded down, in the middle of where they can have been."""
    bits = part.size.view(np.uint32) + np.repeat(part.rough, np.diff(part.sizes)) * np.uint32(1 << ROUGH >> 1)
    return bits.astype(np.uint32).view(np.float32)


def _units(start: Int[np.ndarray, " unit_and_one"]) -> UInt[np.ndarray, " item"]:
    """The unit of each item of rows."""
    return np.repeat(np.arange(len(start) - 1, dtype=np.uint32), np.diff(start))


def _together(parts: Sequence[Part]) -> Part:
    """All that parts of the same units hold, in rows as they are due."""
    units = len(parts[0].low)
    unit, value = (
        np.concatenate([get(part) for part in parts]) for get in (lambda p: _units(p.start), lambda p: p.value)
    )
    by = order(unit, value, units)
    place = np.concatenate([part.place for part in parts])[by]
    size, times = (np.concatenate([getattr(part, name) for part in parts]) for name in ("size", "times"))
    told = np.concatenate([_units(part.sizes) for part in parts]).argsort(kind="stable")
    met = np.concatenate([_units(part.met) for part in parts]).argsort(kind="stable")
    add: Any = {
        name: reduce(np.add, [getattr(part, name) for part in parts]) for name in ("start", "histogram", "sizes", "met")
    }
    return Part(
        **add,
        place=place,
        value=value[by],
        low=np.minimum.reduce([part.low for part in parts]),
        high=np.maximum.reduce([part.high for part in parts]),
        size=size[told],
        times=times[told],
        rough=np.logical_or.reduce([part.rough for part in parts]),
        met_at=np.concatenate([part.met_at for part in parts])[met],
    )


def _thinned(part: Part, stays: Stays) -> Part:
    """What stays of a part that holds more."""
    unit = _units(part.start)
    kept = chosen(unit, part.place, part.value, stays.top, stays.sample, stays.seed)
    if stays.windows is not None:
        kept |= _beside(unit, part.place, kept, stays.windows)
    start = np.append(0, np.bincount(unit[kept], minlength=len(part.low)).cumsum())
    row = {"start": start, "place": part.place[kept], "value": part.value[kept]}
    return replace(part, **row, **_counted(part), **_met(part, stays.seed))


def _beside(unit: np.ndarray, place: np.ndarray, kept: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Firings in a window in which another firing of the same unit is kept: a context shows where else the unit fires."""
    key = unit.astype(np.int64) * (len(windows) + 1) + np.searchsorted(windows, place, side="right")
    return np.isin(key, key[kept])


def _counted(part: Part) -> dict[str, np.ndarray]:
    """Each size once."""
    unit, rough = _units(part.sizes), part.rough
    unit, size, times = _once(unit, part.size, part.times, rough)
    rough = rough | (np.bincount(unit, minlength=len(rough)) > SIZES)
    unit, size, times = _once(unit, size, times, rough)
    sizes = np.append(0, np.bincount(unit, minlength=len(rough)).cumsum())
    return {"sizes": sizes, "size": size, "times": times, "rough": rough}


def _once(
    unit: np.ndarray, size: np.ndarray, times: np.ndarray, rough: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each size of a unit once, the largest first, rounded down as is due."""
    off = np.where(rough, ROUGH, FINE).astype(np.uint32)[unit]
    bits = size.view(np.uint32) >> off << off
    key = unit.astype(np.uint64) << np.uint64(32) | (np.uint64(0xFFFFFFFF) - bits)
    by = key.argsort(kind="stable")
    key = key[by]
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if len(key) else np.zeros(0, np.int64)
    summed = np.add.reduceat(times[by], first) if len(key) else times
    return unit[by][first], bits[by][first].view(np.float32), summed.astype(np.int32)


def _met(part: Part, seed: int) -> dict[str, np.ndarray]:
    """Of each unit the places that drew the least numbers."""
    count = np.diff(part.met)
    kept, unit = np.repeat(count <= MET, count), _units(part.met)
    crowded = np.flatnonzero(~kept)
    by = crowded[np.lexsort((drawn(part.met_at[crowded], seed), unit[crowded]))]
    kept[by[rank(unit[by]) < MET]] = True
    met = np.append(0, np.minimum(count, MET).cumsum())
    place, unit = part.met_at[kept], unit[kept]
    return {"met": met, "met_at": place[np.lexsort((place, unit))]}
