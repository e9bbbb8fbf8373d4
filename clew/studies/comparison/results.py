"""What a benchmark has measured so far, kept in one JSON file that every finished cell is written to at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from clew.files import check_whole, entries, entry, entry_or, jsonable, read_json, write_json
from clew.report import Report, Row
from clew.scale.alone import alone

FORMAT, VERSION = "clew circuit bench", 1
RANDOM = "random"
TEXTS = ("key", "model", "behaviour", "unit", "search", "select", "failed")
OBJECTS = ("report", "recovered", "cost", "judged", "provenance")
NUMBERS = ("recovered", "cost", "judged")


@dataclass(frozen=True)
class Cell:
    """One selection from what one search scored, of one unit, on one behaviour; or why there is none."""

    key: str
    """A hash of all that decides the numbers: weights, prompts, method, selection, options, seed."""
    model: str
    behaviour: str
    unit: str
    search: str
    select: str
    failed: str = ""
    """Why there are no numbers."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """What `areas` found on the held-out half, as JSON."""
    sizes: tuple[float, ...] = ()
    """Shares k of what is ranked."""
    flags: tuple[str, ...] = ()
    """Sentences that warn of how to read the numbers; each starts with its name and a colon."""
    recovered: Mapping[str, float | None] = field(default_factory=dict)
    """Where the true circuit is known: precision and recall at its size, AUROC and average precision of the ranking."""
    cost: Mapping[str, int | float | None] = field(default_factory=dict)
    """Of the search: forwards and backwards over the prompts it looked at, seconds, cpu_seconds, memory in bytes."""
    judged: Mapping[str, int | float] = field(default_factory=dict)
    """Of the measure: forwards over the held-out prompts, seconds."""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def rows(self, measure: str, of: str) -> list[Row]:
        """The rows of a measure, of the "signed" or the "absolute" ranking, or of "no signal"."""
        every: list[dict[str, Any]] = self.report.get("rows", [])
        found = [row for row in every if (row["measure"], row["of"]) == (measure, of)]
        blank: dict[str, Any] = dict.fromkeys(("value", "low", "high"), float("nan"))
        return [Row(**blank | {name: v for name, v in row.items() if v is not None}) for row in found]

    @property
    def ranked(self) -> str:
        """How many of what were ranked: "1,234 edges"."""
        last = self.rows("f", "signed")[-1]
        return f"{last.nodes:,} {last.unit}s"


@dataclass(frozen=True)
class Results:
    """A file of cells; those of other runs stay in it, also of runs at the same time."""

    path: Path
    cells: dict[str, Cell] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path) -> Results:
        """What the file holds; nothing where there is none. Raises: ValueError for a file that is something else."""
        if not path.exists():
            return cls(path)
        value = read_json(path, FORMAT)
        if entry(value, "version", int, origin=str(path)) != VERSION:
            raise ValueError(f"{path} has bench schema version {value['version']}; this clew reads {VERSION}")
        check_whole(value, ("format", "version", "cells"), str(path))
        held = enumerate(entries(value, "cells", dict, origin=str(path)))
        cells = [_cell(cell, f"{path}: cells[{i}]") for i, cell in held]
        if len({cell.key for cell in cells}) < len(cells):
            raise ValueError(f"{path} holds two cells of one key")
        return cls(path, {cell.key: cell for cell in cells})

    def finished(self, key: str) -> bool:
        """Whether that cell has numbers; one that failed may be tried again."""
        return key in self.cells and not self.cells[key].failed

    def add(self, cell: Cell) -> None:
        """Take a cell in and write the file, whole, with what other processes have added to it meanwhile."""
        with alone(self.path, "adding results", wait=True):
            for one in (*Results.at(self.path).cells.values(), cell):
                if not (one.failed and self.finished(one.key)):
                    self.cells[one.key] = one
            write_json(self.path, as_json(self.cells.values()))


def _cell(held: Mapping[str, Any], origin: str) -> Cell:
    """A cell as `as_json` writes it."""
    check_whole(held, [f.name for f in fields(Cell)], origin)
    given = {name: entry(held, name, str, origin=origin) for name in TEXTS}
    given |= {name: entry(held, name, dict, origin=origin) for name in OBJECTS}
    for table in NUMBERS:
        for name in given[table]:
            entry_or(given[table], name, float, None, origin=f"{origin}.{table}")
    if given["report"]:
        Report.from_json(given["report"], f"{origin}.report")
    sizes, flags = entries(held, "sizes", float, origin=origin), entries(held, "flags", str, origin=origin)
    return Cell(**given, sizes=tuple(sizes), flags=tuple(flags))


def as_json(cells: Iterable[Cell]) -> dict[str, Any]:
    """Cells as plain JSON, with the version of the schema."""
    return {"format": FORMAT, "version": VERSION, "cells": [jsonable(asdict(cell)) for cell in cells]}
