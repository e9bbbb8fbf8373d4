"""What a file holds that says how it was made, a circuit, a report or a stack of edits; or numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clew.circuits.circuit import FORMAT as CIRCUIT
from clew.circuits.circuit import Circuit
from clew.files import read_any_json
from clew.report import FORMAT as REPORT
from clew.report import Report
from clew.stack import Stack

TOLD = ("seconds", "cpu_seconds")
"""What numbers of a table are of the machine, and no result."""


@dataclass(frozen=True)
class Recorded:
    """A result with the record of how it was made."""

    name: str
    """Where in its file it stands; empty where it is the whole of it."""
    result: Circuit | Report | Stack

    @property
    def parts(self) -> list[tuple[str, dict[str, Any]]]:
        """The records of the runs that it is made of, each with what its rows begin with: one, those of a sum, or named."""
        made = cast("dict[str, Any]", dict(self.result.provenance))
        if "parts" in made:
            return [("", dict(part)) for part in made["parts"]]
        if "method" not in made and made and all(_is_record(part) for part in made.values()):
            return [(f"{name}: ", dict(part)) for name, part in made.items()]
        return [("", made)]


def recorded(path: str | Path) -> list[Recorded]:
    """What a file holds that can be made again; nothing where it holds numbers alone.

    Raises: ValueError naming the file and what is wrong with it.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return [Recorded("", Stack.load(path))]
    value = read_any_json(path, "; a circuit, a report, or a stack of edits was expected")
    return list(_within(value, "", str(path)))


def _within(value: Any, name: str, origin: str) -> Iterator[Recorded]:
    """The results in a value, the value itself or what it holds."""
    if isinstance(value, Mapping):
        held = cast("Mapping[str, Any]", value)
        if held.get("format") == REPORT:
            yield Recorded(name, Report.from_json(held, origin))
        elif held.get("format") == CIRCUIT and not name:
            yield Recorded(name, Circuit.load(origin))
        else:
            for key, inner in held.items():
                yield from _within(inner, f"{name}, {key}".removeprefix(", "), origin)
    elif isinstance(value, list):
        for i, inner in enumerate(cast("list[Any]", value)):
            yield from _within(inner, f"{name} {i + 1}".strip(), origin)


def table(path: str | Path) -> dict[str, float]:
    """Every number in a JSON file by where it stands, but for seconds and what tells how results were made."""
    return dict(_numbers(read_any_json(path), ""))


def _numbers(value: Any, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[str, Any]", value).items():
            if key not in (*TOLD, "provenance", "format", "version"):
                yield from _numbers(inner, f"{place}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for i, inner in enumerate(cast("list[Any]", value)):
            yield from _numbers(inner, f"{place}[{i}]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, float(value)


def _is_record(part: Any) -> bool:
    return isinstance(part, Mapping) and "method" in part
