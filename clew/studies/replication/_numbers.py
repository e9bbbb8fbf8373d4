"""Numbers then and now, and whether they agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from torch import Tensor

from clew.circuits.circuit import Circuit
from clew.files import jsonable
from clew.report import Row
from clew.stack import Stack

Verdict = Literal["same", "within interval", "differs", "not there"]
VERDICTS: tuple[Verdict, ...] = ("same", "within interval", "differs", "not there")
TOLERANCE = 1e-3
"""Of a number of size 1, or of the largest beside it: what other threads or another machine may make of it."""


@dataclass(frozen=True)
class Number:
    """One number of a saved result and what it is now."""

    what: str
    was: float
    now: float
    """nan where it was not got again."""
    verdict: Verdict
    low: float = math.nan
    high: float = math.nan
    """The interval that it had; nan where it had none."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; what is not a number is null."""
        return jsonable(asdict(self))


def judged(what: str, was: float, now: float, interval: tuple[float, float], tolerance: float) -> Number:
    """Same within the tolerance; within the interval that it had; or neither. Two that are no numbers are the same."""
    if math.isnan(was) or math.isnan(now):
        verdict: Verdict = "same" if math.isnan(was) and math.isnan(now) else "differs"
    elif abs(now - was) <= tolerance:
        verdict = "same"
    else:
        verdict = "within interval" if interval[0] <= now <= interval[1] else "differs"
    return Number(what, was, now, verdict, *interval)


def of_rows(was: Sequence[Row], now: Sequence[Row], tolerance: float = TOLERANCE) -> list[Number]:
    """The rows of a report, met again by what they measure, of what, and at which size."""
    there = dict(_by_key(now))
    found: list[Number] = []
    for key, row in _by_key(was):
        size = "" if row.nodes is None else f", {row.nodes} {row.unit}s"
        what, again = f"{row.measure} {row.of}".strip() + size, there.get(key)
        if again is None:
            found.append(Number(what, row.value, math.nan, "not there", row.low, row.high))
        else:
            scale = tolerance * max(1.0, abs(row.value) if math.isfinite(row.value) else 1.0)
            found.append(judged(what, row.value, again.value, (row.low, row.high), scale))
    return found


def _by_key(rows: Iterable[Row]) -> list[tuple[tuple[Any, ...], Row]]:
    """Rows by what they say they are; of several that say the same, the how-manieth."""
    met: Counter[tuple[Any, ...]] = Counter()
    found: list[tuple[tuple[Any, ...], Row]] = []
    for row in rows:
        key = (row.measure, row.of, row.nodes, row.unit)
        found.append(((*key, met[key]), row))
        met[key] += 1
    return found


def of_circuit(was: Circuit, now: Circuit, tolerance: float = TOLERANCE) -> list[Number]:
    """The scores of a circuit's nodes and the weights of its edges; the interval of a score is two standard errors."""
    found: list[Number] = []
    for name, ends, column in (("node", "keys", "score"), ("edge", "wires", "weight")):
        mine, theirs = (dict(zip(_keys(c, ends), getattr(c, column).tolist(), strict=True)) for c in (was, now))
        errors = dict(zip(_keys(was, ends), getattr(was, f"{column}_error").tolist(), strict=True))
        scale = tolerance * max(map(abs, mine.values()), default=0.0)
        for key, value in mine.items():
            what, width = f"{name} {key}", 1.96 * errors[key]
            interval = (value - width, value + width)
            if key in theirs:
                found.append(judged(what, value, theirs[key], interval, scale))
            else:
                found.append(Number(what, value, math.nan, "not there", *interval))
    return found


def _keys(circuit: Circuit, ends: str) -> list[str]:
    """Names of nodes, or of edges."""
    names = [node.address for node in circuit] + ["metric"]  # OUTPUT is the last index
    return names[:-1] if ends == "keys" else [f"{names[s]} to {names[t]}" for s, t, _ in circuit.edges]


def of_stack(was: Stack, now: Stack, tolerance: float = TOLERANCE) -> list[Number]:
    """The tensors of edits by their norm, and by how far the new one is from it; their other numbers as they are."""
    found: list[Number] = []
    for i, edit in enumerate(was):
        again = now[i] if i < len(now) else None
        where = f"{type(edit).__name__.lower()} at {getattr(edit, 'at', '')}"
        for f in fields(edit):
            mine, theirs = getattr(edit, f.name), getattr(again, f.name, None)
            if isinstance(mine, Tensor):
                found.append(_tensor(f"{where}: {f.name}", mine, theirs, tolerance))
            elif isinstance(mine, float):
                now_is = theirs if isinstance(theirs, float) else math.nan
                found.append(judged(f"{where}: {f.name}", mine, now_is, (math.nan, math.nan), tolerance * abs(mine)))
    return found


def _tensor(what: str, was: Tensor, now: Any, tolerance: float) -> Number:
    norm = float(was.double().norm())
    if not isinstance(now, Tensor) or now.shape != was.shape:
        return Number(f"{what}, norm", norm, math.nan, "not there")
    away = float((now.double().cpu() - was.double().cpu()).norm())
    return Number(f"{what}, norm", norm, float(now.double().norm()), "same" if away <= tolerance * norm else "differs")


def of_tables(was: Mapping[str, float], now: Mapping[str, float], tolerance: float = TOLERANCE) -> list[Number]:
    """The numbers of two tables, by where they stand."""
    none = (math.nan, math.nan)
    return [
        judged(what, value, now[what], none, tolerance * max(1.0, abs(value)))
        if what in now
        else Number(what, value, math.nan, "not there")
        for what, value in was.items()
    ]


def counted(numbers: Iterable[Number]) -> dict[str, int]:
    """How many are of each verdict, in order; those of which there is none are left out."""
    met = Counter(number.verdict for number in numbers)
    return {verdict: met[verdict] for verdict in VERDICTS if met[verdict]}
