"""What became of a file that was run again, as a file of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew.files import check_whole, entries, entry, entry_or, read_json, typed, write_json
from clew.studies.replication._numbers import VERDICTS, Number, counted
from clew.studies.replication.replicate import Replication

FORMAT, FILE_VERSION = "clew replication", 1
HELD = ("format", "version", "title", "about", "agrees", "results")
OF_RESULT = ("title", "agrees", "counts", "refused", "notes", "seconds", "numbers")
OF_NUMBER = ("what", "was", "now", "verdict", "low", "high")
"""The names of a file, of each result in it, and of each number of that."""


@dataclass(frozen=True)
class Rerun:
    """What became of a file that was run again.

    >>> from clew.studies.replication.replicate import Replication
    >>> Rerun("a.json, run again", (Replication("faithfulness", ()),)).agrees
    True
    """

    title: str
    results: tuple[Replication, ...]

    @classmethod
    def of(cls, path: str | Path, found: Sequence[Replication]) -> Rerun:
        """Of the file that was run again, and what was found."""
        return cls(f"{Path(path).name}, run again", tuple(found))

    @property
    def agrees(self) -> bool:
        """Whether everything in the file does."""
        return all(one.agrees for one in self.results)

    def __str__(self) -> str:
        counts = counted(number for one in self.results for number in one.numbers)
        refused = sum(len(one.refused) for one in self.results)
        said = [f"{n} {verdict}" for verdict, n in counts.items()]
        return ", ".join([*said, *[f"{refused} parts not run again"] * bool(refused)])

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        head = {"format": FORMAT, "version": FILE_VERSION, "title": self.title, "about": str(self)}
        return {**head, "agrees": self.agrees, "results": [one.to_json() for one in self.results]}

    def save(self, path: str | Path) -> Path:
        """Write it to a file of JSON."""
        return write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Rerun:
        """Read one. Raises: ValueError for what is none, or whose counts are not those of its numbers."""
        value, origin = read_json(path, FORMAT), str(path)
        check_whole(value, HELD, origin)
        entry(value, "version", int, origin=origin, at_least=FILE_VERSION, at_most=FILE_VERSION)
        listed = enumerate(entries(value, "results", dict, origin=origin))
        results = tuple(_result(held, f"{origin}: results[{i}]") for i, held in listed)
        found = cls(entry(value, "title", str, origin=origin), results)
        typed(value["about"], f"{origin}: about", str, among=(str(found),))
        typed(value["agrees"], f"{origin}: agrees", bool, among=(found.agrees,))
        return found


def _result(held: Any, origin: str) -> Replication:
    check_whole(held, OF_RESULT, origin)
    numbers = [
        _number(one, f"{origin}.numbers[{i}]") for i, one in enumerate(entries(held, "numbers", dict, origin=origin))
    ]
    found = Replication(
        entry(held, "title", str, origin=origin),
        tuple(numbers),
        tuple(entries(held, "refused", str, origin=origin)),
        tuple(entries(held, "notes", str, origin=origin)),
        entry(held, "seconds", float, origin=origin, at_least=0),
    )
    typed(held["counts"], f"{origin}.counts", dict, among=(counted(numbers),))
    typed(held["agrees"], f"{origin}.agrees", bool, among=(found.agrees,))
    return found


def _number(held: Any, origin: str) -> Number:
    check_whole(held, OF_NUMBER, origin)
    was, now, low, high = (
        math.nan if (one := entry_or(held, name, float, None, origin=origin)) is None else float(one)
        for name in ("was", "now", "low", "high")
    )
    what = entry(held, "what", str, origin=origin)
    return Number(what, was, now, entry(held, "verdict", str, origin=origin, among=VERDICTS), low, high)
