"""Cells as one table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from clew.report import Row
from clew.studies.comparison.results import RANDOM, Cell
from clew.tables import frame

AREAS = {
    "CPR": ("CPR", "signed"),
    "CMD": ("CMD", "absolute"),
    "CPR, log k": ("CPR over log k", "signed"),
    "CMD, log k": ("CMD over log k", "absolute"),
}
"""The columns of a table: a measure, and the ranking for which MIB reports it."""
RECOVERED = ("precision", "recall")
COSTS = ("fwd", "bwd", "s", "MB")
LEGEND = """
CPR: area under faithfulness over circuit size, ranked by signed score; the model has 1, and more is overshoot.
CMD: area between faithfulness and 1, ranked by |score|; 0 is best. Over log k every factor of size counts alike.
In brackets: 95 % bootstrap interval over the held-out prompts. Costs are those of the search: forwards and backwards in
passes over the prompts that it was given (one over their patch prompts is another), seconds, growth of memory.
""".rstrip()


def bench_table(cells: Sequence[Cell]) -> str:
    """A line for each cell, under what it is about, and what a ranking without signal gets."""
    recovered = any(cell.recovered for cell in cells)
    lines: list[list[str] | str] = [["", *AREAS, *(RECOVERED if recovered else ()), *COSTS, "warnings"]]
    for rows in grouped(cells):
        lines += ["", heading(rows), *(_line(cell, recovered) for cell in rows)]
        if known := next((cell for cell in rows if cell.report), None):
            lines.append(["  no signal", *(f"{row.value:.3f}" for row in _areas(known, "no signal"))])
    return f"{_aligned(lines)}\n{LEGEND}"


def bench_frame(cells: Sequence[Cell]) -> Any:
    """A row for each cell as a pandas DataFrame: areas with their intervals, costs. Raises: ImportError without pandas."""
    said = ("model", "behaviour", "unit", "search", "select", "failed")
    ends = [f"{name}{end}" for name in AREAS for end in ("", " low", " high")]
    rows = [
        {name: getattr(cell, name) for name in said}
        | (dict(zip(ends, _ends(cell), strict=True)) if cell.report else {})
        | dict(cell.recovered)
        | dict(cell.cost)
        for cell in cells
    ]
    more = dict.fromkeys(name for cell in cells for name in (*cell.recovered, *cell.cost))
    return frame(rows, [*said, *ends, *more])


def grouped(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """The cells of each unit of each behaviour."""
    for _, rows in groupby(cells, key=lambda cell: (cell.model, cell.behaviour, cell.unit)):
        yield list(rows)


def heading(rows: Sequence[Cell]) -> str:
    """What some cells have in common, in words."""
    said, known = f"{rows[0].behaviour} in {rows[0].model}, {rows[0].unit}", [cell for cell in rows if cell.report]
    if not known:
        return said
    prompts, judged = known[0].provenance["prompts"], known[0].rows("f", "signed")[0].examples
    metric = prompts["metric"].replace("_", " ")
    return f"{said}: {known[0].ranked}; found on {prompts['pairs']} pairs, judged on {judged} others, by {metric}"


def named(cell: Cell) -> str:
    """Search and selection."""
    return RANDOM if cell.search == RANDOM else f"{cell.search}, {cell.select}"


def warnings(cell: Cell) -> str:
    """The names of a cell's flags."""
    return ", ".join(dict.fromkeys(flag.partition(":")[0] for flag in cell.flags))


def costs(cell: Cell) -> list[str]:
    """What the search cost, under the heads of COSTS; dashes where nothing was counted."""
    cost, memory = cell.cost, cell.cost.get("memory")
    passes = [f"{cost[name]:.4g}" if cost.get(name) is not None else "–" for name in ("forwards", "backwards")]
    seconds = f"{cost['seconds']:.1f}" if cost.get("seconds") is not None else "–"
    return [*passes, seconds, "–" if memory is None else f"{memory / 1e6:.0f}"]


def _areas(cell: Cell, of: str | None = None) -> list[Row]:
    return [cell.rows(measure, of or ranking)[0] for measure, ranking in AREAS.values()]


def _ends(cell: Cell) -> list[float]:
    return [value for row in _areas(cell) for value in (row.value, row.low, row.high)]


def _line(cell: Cell, recovered: bool) -> list[str] | str:
    if cell.failed:
        return f"  {named(cell)}  failed: {cell.failed}"
    areas = [f"{row.value:.3f} {row.interval('.2f')}".rstrip() for row in _areas(cell)]
    known = [cell.recovered.get(name) for name in RECOVERED] if recovered else []
    return [
        f"  {named(cell)}",
        *areas,
        *("–" if value is None else f"{value:.2f}" for value in known),
        *costs(cell),
        warnings(cell),
    ]


def _aligned(lines: Sequence[list[str] | str]) -> str:
    """Columns to the right but the first and the last; what is no row stands as it is."""
    rows = [line for line in lines if isinstance(line, list)]
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows), default=0))]

    def shown(row: list[str]) -> str:
        ends = (0, len(widths) - 1)
        cells = enumerate(zip(row, widths, strict=False))
        return "  ".join(c.ljust(width) if i in ends else c.rjust(width) for i, (c, width) in cells).rstrip()

    return "\n".join(shown(line) if isinstance(line, list) else line for line in lines)
