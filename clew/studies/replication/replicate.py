"""A saved circuit, report or stack of edits run again from its record, and what of it agrees."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy
import torch
import transformers

from clew.circuits.circuit import Circuit
from clew.files import whole
from clew.progress import NOTHING, Tell
from clew.report import Report, Row
from clew.stack import Stack
from clew.studies.replication._again import edited_again, found_again, verified_again
from clew.studies.replication._numbers import TOLERANCE, Number, counted, of_circuit, of_rows, of_stack, of_tables
from clew.studies.replication._posed import CannotRerun, evidence_in
from clew.studies.replication._recorded import Recorded, recorded, table
from clew.studies.replication._sources import Given, Sources
from clew.version import VERSION


@dataclass(frozen=True)
class Replication:
    """What became of the numbers of a file."""

    title: str
    numbers: tuple[Number, ...]
    refused: tuple[str, ...] = ()
    """Of each part that was not run again, why."""
    notes: tuple[str, ...] = ()
    """What differs between then and now, in words."""
    seconds: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether everything was run again and every number is the same or within its interval."""
        return not self.refused and not {"differs", "not there"} & counted(self.numbers).keys()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        counts, told = counted(self.numbers), [number.to_json() for number in self.numbers]
        return {
            "title": self.title,
            "agrees": self.agrees,
            "counts": counts,
            "refused": list(self.refused),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 1),
            "numbers": told,
        }

    def __str__(self) -> str:
        said = ", ".join(f"{n} {verdict}" for verdict, n in counted(self.numbers).items()) or "no number was got again"
        odd = [n for n in self.numbers if n.verdict in ("differs", "not there")]
        lines = [f"{self.title}: {said}", *(f"  cannot be run again: {why}" for why in self.refused)]
        lines += [f"  {n.what}: {n.was:.4g} then, {n.now:.4g} now ({n.verdict})" for n in odd[:20]]
        lines += [f"  and {len(odd) - 20} more"] * (len(odd) > 20)
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def replicate(
    path: str | Path,
    *,
    given: Given | None = None,
    tolerance: float = TOLERANCE,
    progress: Tell | None = None,
) -> list[Replication]:
    """Run everything in a file again that its records tell how, and compare it number by number.

    Args:
        given: what stands in for what a record names and cannot be found.
        tolerance: how far a number may be from what it was and still be the same, as a share of it, or of 1 if it is less;
            of scores of a circuit, of the largest.
        progress: told after each part.

    Returns: one for each result in the file.
    Raises: ValueError for a file that holds no result with a record; `compared` takes two such files.
    """
    found = recorded(path)
    if not found:
        raise ValueError(
            f"{path} holds {len(table(path)):,} numbers and no record of a run, so what made it must be run by itself; then "
            "compare it with the new file (--against FILE)"
        )
    steps, made = sum(len(one.parts) for one in found), list[Replication]()
    tell: Tell = progress or _unheard
    for one in found:
        done = sum(len(other.parts) for other in found[: len(made)])
        made.append(_again(one, Path(path), given or Given(), tolerance, lambda i, at=done: tell(at + i, steps)))
    return made


def named_in(path: str | Path) -> tuple[set[str], set[str]]:
    """The models, and the behaviours or files of them, that the records in a file name and running it again would open.

    Raises: ValueError naming the file, for a record that is not as they are.
    """
    models, evidence = set[str](), set[str]()
    with whole(path, "record of a run"):
        for record in (held for one in recorded(path) for _, part in one.parts for held in _records(part)):
            models |= {str(record["model"])} if "model" in record else set()
            evidence |= set(evidence_in(record["prompts"])) if "prompts" in record else set()
    return models, evidence


def _records(value: Any) -> Iterator[Mapping[str, Any]]:
    """A record and those within it."""
    inside: Iterable[Any] = ()
    if isinstance(value, Mapping):
        held = cast("Mapping[str, Any]", value)
        yield held
        inside = held.values()
    elif isinstance(value, list):
        inside = cast("list[Any]", value)
    for inner in inside:
        yield from _records(inner)


def compared(was: str | Path, now: str | Path, *, tolerance: float = TOLERANCE) -> Replication:
    """The numbers of two files, by where they stand; reports by what their rows measure.

    Raises: ValueError for a file that is no JSON.
    """
    mine, theirs = [
        [one.result.rows for one in recorded(path) if isinstance(one.result, Report)] for path in (was, now)
    ]
    theirs += [()] * (len(mine) - len(theirs))
    rows = [of_rows(a, b, tolerance) for a, b in zip(mine, theirs, strict=False)]
    numbers = list(chain.from_iterable(rows)) or of_tables(table(was), table(now), tolerance)
    return Replication(f"{was} against {now}", tuple(numbers))


def _again(one: Recorded, path: Path, given: Given, tolerance: float, tell: Any) -> Replication:
    """One result, part by part."""
    sources, started, refused = Sources(given, path.parent), time.perf_counter(), list[str]()
    title = f"{path}{f' ({one.name})' if one.name else ''}"
    got: list[Any] = []
    for i, (name, record) in enumerate(one.parts):
        tell(i)
        try:
            if "method" not in record:
                raise CannotRerun(f"its record names no verb; it says {', '.join(record) or 'nothing'}")
            for note in _elsewhere(record):
                sources.note(note)
            got.append(_part(one.result, name, record, sources, tolerance))
        except CannotRerun as why:
            refused.append(f"{name or f'part {i + 1}: ' if len(one.parts) > 1 else ''}{why}")
    numbers = _compared(one.result, got, bool(refused), tolerance)
    return Replication(title, tuple(numbers), tuple(refused), tuple(sources.notes), time.perf_counter() - started)


def _part(result: Any, name: str, record: Mapping[str, Any], sources: Sources, tolerance: float) -> Any:
    """One run again: a circuit, a stack, or the rows of a report that agree best."""
    if isinstance(result, Circuit):
        return found_again(record, sources, set(result.keys()))
    if isinstance(result, Stack):
        return edited_again(record, sources)
    best, least = (), len(result.rows) + 1
    for report in verified_again(record, sources):
        rows = tuple(replace(row, of=name + row.of) for row in report.rows)
        odd = [n for n in of_rows(_same_of(result.rows, rows), rows, tolerance) if n.verdict == "differs"]
        if len(odd) < least:
            best, least = rows, len(odd)
        if not odd:
            break
    return best


def _same_of(rows: tuple[Row, ...], part: tuple[Row, ...]) -> list[Row]:
    """Of all rows those of what a part is of."""
    of = {row.of for row in part}
    return [row for row in rows if row.of in of]


def _compared(result: Any, got: list[Any], some: bool, tolerance: float) -> Iterator[Number]:
    """The numbers of a result and of what was got again; where parts could not be, those of the others."""
    if isinstance(result, Report):
        rows = tuple(chain.from_iterable(got))
        yield from of_rows(_same_of(result.rows, rows) if some else result.rows, rows, tolerance)
    elif isinstance(result, Circuit):
        yield from chain.from_iterable(of_circuit(result, now, tolerance) for now in got)
    elif not some:
        yield from of_stack(result, Stack(tuple(chain.from_iterable(got))), tolerance)


def _elsewhere(record: Mapping[str, Any]) -> Iterator[str]:
    """In words, what of the machine and the libraries is not as it was."""
    here = {
        "clew": VERSION,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
    }
    then: Mapping[str, str] = record.get("versions", {})
    if other := [name for name, now in here.items() if then.get(name, now) != now]:
        was, now = (", ".join(f"{name} {some[name]}" for name in other) for some in (then, here))
        yield f"made with {was}; here with {now}"
    if str(record.get("device", "cpu")) != "cpu":
        yield f"made on {record['device']}; here on the CPU"


def _unheard(done: int, of: int, numbers: Mapping[str, float] = NOTHING, /) -> None:
    """Told, and not said."""
