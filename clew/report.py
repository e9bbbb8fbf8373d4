"""A report: numbers with intervals, how they were got, and a table for people."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from clew.files import check_names, check_whole, entries, entry, jsonable, read_json, typed, write_json
from clew.plots import Point, panels
from clew.statistics.intervals import middle
from clew.tables import as_html, frame

FORMAT, VERSION = "clew report", 2
KINDS = {
    "measure": str,
    "of": str,
    "unit": str,
    "value": float,
    "low": float,
    "high": float,
    "nodes": int,
    "examples": int,
}
"""What a file's rows hold."""
NULLS = {"value": float("nan"), "low": float("nan"), "high": float("nan"), "nodes": None}
"""What null stands for in them."""


@dataclass(frozen=True)
class Row:
    """One number and its 95 % bootstrap interval over examples; a single example has none, and `low`, `high` are nan."""

    measure: str
    """What was measured: faithfulness, completeness, ..."""
    value: float
    low: float
    high: float
    of: str = ""
    """What it was measured on: features, neurons, heads, random, ..."""
    nodes: int | None = None
    """Size of the circuit, in nodes or in what `unit` says."""
    examples: int = 0
    """Number of examples behind the number."""
    unit: str = "node"
    """What `nodes` counts: nodes, or edges where edges are judged."""

    def interval(self, digits: str = ".3f") -> str:
        """`[low, high]` for a table; empty where there is none. What is rounded to zero has no sign.

        >>> Row("faithfulness", 0.8, 0.75, 0.875).interval(".2f")
        '[0.75, 0.88]'
        """
        bounded = np.isfinite(self.low) and np.isfinite(self.high)
        return f"[{self.low:z{digits}}, {self.high:z{digits}}]" if bounded else ""

    def said(self, digits: str = ".3f") -> str:
        """The value and, where there is one, its interval: `0.80 [0.75, 0.88]`."""
        return f"{self.value:z{digits}} {self.interval(digits)}".rstrip()


@dataclass(frozen=True, eq=False)
class Report:
    """What a measure returns."""

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """Sentences a reader must know: what was ablated and how, what was left out."""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same, down to the record of how they were made; nan is nan."""
        return self.to_json() == other.to_json() if isinstance(other, Report) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.title, self.notes))

    def __getitem__(self, measure: str) -> Row:
        """The first row of that measure. Raises: KeyError listing the measures."""
        for row in self.rows:
            if row.measure == measure:
                return row
        raise KeyError(f"no row {measure!r}; there are {sorted({r.measure for r in self.rows})}")

    def __add__(self, other: Report) -> Report:
        """Both reports' rows under this one's title."""
        parts = [*self.provenance.get("parts", [dict(self.provenance)]), dict(other.provenance)]
        return Report(
            self.title, self.rows + other.rows, tuple(dict.fromkeys(self.notes + other.notes)), {"parts": parts}
        )

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        return as_html(self.title, *self.cells(), self.notes)

    def plot(self, *measures: str) -> list[Any]:
        """A panel for each measure, drawn by matplotlib: curves where the sizes of circuits stand side by side, else points.

        Intervals are drawn as shades and bars; what is random is grey.

        Args: measures: those to draw; by default all of which there is a number.
        Returns: the axes, one for each; `axes[0].figure` is their figure.
        Raises: KeyError listing the measures; ImportError naming the extra where matplotlib is not installed.

        >>> report = clew.verify(view, task, circuit)
        >>> report.plot("faithfulness")[0].figure.savefig("faithfulness.svg")
        """
        known = [r.measure for r in self.rows if np.isfinite(r.value)]
        table: dict[str, dict[str, list[Point]]] = {name: {} for name in measures or known}
        for name in table:
            self[name]
        for r in self.rows:
            if r.measure in table:
                table[r.measure].setdefault(r.of, []).append((r.nodes, r.value, r.low, r.high))
        if not table:
            raise ValueError(f"there is nothing to plot: {self.title or 'the report'} has no numbers")
        return panels(self.title, self.rows[0].unit, table)

    def to_frame(self) -> Any:
        """The rows as a pandas DataFrame, a column for each field of `Row`. Raises: ImportError without pandas."""
        return frame([asdict(row) for row in self.rows], [f.name for f in fields(Row)])

    def sizes(self) -> list[int]:
        """The sizes of circuits that stand side by side, where the same is measured of several; else none."""
        told = [(r.measure, r.of, r.nodes) for r in self.rows]
        several = len({what[:2] for what in told}) < len(told) == len(set(told)) and all(size for *_, size in told)
        return sorted({size for *_, size in told if size}) if several else []

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of a table: sizes side by side where there are several, else a line for each row."""
        if not (sizes := self.sizes()):
            head = ["measure", "of", "size", "value", "95 % interval", "examples"]
            return head, [_line(r) for r in self.rows]
        table: dict[tuple[str, str], dict[int | None, str]] = {}
        for r in self.rows:
            table.setdefault((r.measure, r.of), {})[r.nodes] = r.said(".2f")
        head = [f"{self.rows[0].unit}s", *map(str, sizes)]
        return head, [[f"{m} {of}".strip(), *(cells.get(n, "") for n in sizes)] for (m, of), cells in table.items()]

    def __str__(self) -> str:
        if self.sizes():
            head, rows = self.cells()
            widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
            lines = [
                "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
            ]
            return "\n".join([self.title, *lines, *(f"  {note}" for note in self.notes)])
        width = max([len(r.measure) + len(r.of) for r in self.rows], default=10) + 3
        lines = [self.title]
        for r in self.rows:
            size = "" if r.nodes is None else f"{r.nodes:>7} {r.unit}s"
            what = f"{r.measure} {r.of}".strip()
            interval = f"  {r.interval()}  n={r.examples}" if r.interval() else "  n=1, no interval" * (r.examples == 1)
            lines.append(f"  {what:<{width}}{size}  {r.value:z7.3f}{interval}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "title": self.title,
            "rows": [jsonable(asdict(row)) for row in self.rows],
            "notes": list(self.notes),
            "provenance": jsonable(self.provenance),
        }

    def save(self, path: str | Path) -> Path:
        """Write one JSON file."""
        return write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read what `save` wrote. Raises: ValueError naming the file and what is wrong with it."""
        return cls.from_json(read_json(path, FORMAT), str(path))

    @classmethod
    def from_json(cls, value: Mapping[str, Any], origin: str = "this JSON") -> Report:
        """Build from what `to_json` gave. Raises: ValueError naming the origin and what is wrong with it."""
        version = entry(value, "version", int, origin=origin)
        if version not in (1, VERSION):
            raise ValueError(f"{origin} has report schema version {version}; this clew reads 1 and {VERSION}")
        check_whole(value, ("format", "version", "title", "rows", "notes", "provenance"), origin)
        entry(value, "format", str, origin=origin, among=(FORMAT,))
        meant: dict[str, Any] = {"unit": "node"} if version == 1 else {}  # which rows did not say at first
        listed = enumerate(entries(value, "rows", dict, origin=origin))
        rows = [_row({**meant, **row}, f"{origin}: rows[{i}]") for i, row in listed]
        title, notes = entry(value, "title", str, origin=origin), entries(value, "notes", str, origin=origin)
        return cls(title, tuple(rows), tuple(notes), entry(value, "provenance", dict, origin=origin))


def _line(r: Row) -> list[str]:
    """A row of a report as cells."""
    size = "" if r.nodes is None else f"{r.nodes} {r.unit}s"
    return [r.measure, r.of, size, f"{r.value:z.3f}", r.interval(), str(r.examples or "")]


def _row(held: Mapping[str, Any], origin: str) -> Row:
    """A row as `to_json` writes it, null for what was no number."""
    check_names(held, KINDS, origin)
    given: dict[str, Any] = {}
    for name, value in held.items():
        least = 0 if KINDS[name] is int else None
        missing = value is None and name in NULLS
        given[name] = NULLS[name] if missing else typed(value, f"{origin}.{name}", KINDS[name], at_least=least)
    check_whole(held, KINDS, origin)
    return Row(**given)


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    examples: int | Sequence[Hashable],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of `statistic(indices)` over resampled examples; (nan, nan) where there is none.

    There is none for a single example, which drawn again and again is always itself and would look certain; nor of a
    statistic that is not a finite number, or is none in more than one of forty draws, which lie at either end then.

    Args:
        statistic: called with indices drawn with replacement.
        examples: how many there are; or, of each, the prompt it is of: copies of one prompt are one, and drawn together.
    """
    members = members_of(range(examples) if isinstance(examples, int) else examples)
    n = sum(map(len, members))
    if len(members) < 2 or not np.isfinite(statistic(np.arange(n))):
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        drawn = (random.integers(0, len(members), len(members)) for _ in range(draws))
        values = np.array([statistic(i if len(members) == n else _together(members, i)) for i in drawn])
    return middle(values)


def _together(members: Sequence[np.ndarray], groups: np.ndarray) -> np.ndarray:
    return np.concatenate([members[int(group)] for group in groups])


def members_of(keys: Sequence[Hashable]) -> list[Int[np.ndarray, " example"]]:
    """For each key, in the order in which they are met, the indices that have it."""
    found: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return [np.array(index) for index in found.values()]
