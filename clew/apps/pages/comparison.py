"""Cells as one HTML file that needs nothing else: no network, no server, no script.

Names, reasons and provenance are other people's text: all of it is escaped, and the page may run nothing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence

from clew.apps._facts import facts
from clew.apps.pages.dictionary import _cell, _number, _scale
from clew.apps.pages.frame import framed
from clew.report import Row
from clew.studies.comparison.results import RANDOM, Cell
from clew.studies.comparison.table import AREAS, RECOVERED, costs, grouped, heading, named, warnings

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 280.0, 158.0, 30.0, 12.0, 12.0, 26.0
RANGE = (-1.0, 2.0)
"""Faithfulness beyond this is drawn at the border, and said."""
MEANING = {
    "CPR": "area under f, signed ranking; the model has 1, more is overshoot",
    "CMD": "area between f and 1, absolute ranking; 0 is best",
    "CPR, log k": "every factor of size counts alike",
    "CMD, log k": "every factor of size counts alike",
    "precision": "of as many as are true",
    "recall": "of the true ones",
    "forwards": "passes over the prompts",
    "backwards": "likewise",
    "seconds": "of the search",
    "MB": "growth of memory",
}


def bench_page(cells: Sequence[Cell]) -> str:
    """For each unit of each behaviour: a table with intervals and costs, curves over log k, and how it was made.

    Raises: ValueError without a cell.
    """
    if not cells:
        raise ValueError("there is nothing to show: give at least one cell of a bench")
    models, behaviours = (dict.fromkeys(getattr(cell, name) for cell in cells) for name in ("model", "behaviour"))
    searches = dict.fromkeys(cell.search for cell in cells if cell.search != RANDOM)
    title = f"{_many(len(searches), 'search', 'es')} for circuits in {', '.join(models)}"
    parts = {
        "behaviours": html.escape(", ".join(behaviours)),
        "groups": "".join(map(_group, grouped(cells))),
        "made": "".join(map(_made, cells)),
    }
    return framed("comparison", title, parts, styles=("dictionary", "comparison"))


def _many(n: int, one: str, more: str) -> str:
    return f"{n} {one}{more if n != 1 else ''}"


def _group(rows: Sequence[Cell]) -> str:
    curves = [cell for cell in rows if cell.report]
    chance = next((cell for cell in curves if cell.search == RANDOM), None)
    values = [row.value for cell in curves for ranking in ("signed", "absolute") for row in cell.rows("f", ranking)]
    low, high = max(RANGE[0], min([0.0, *values])), min(RANGE[1], max([1.1, *values]))
    plots = "".join(_plot(cell, chance, low, high) for cell in curves if cell is not chance)
    title, _, rest = heading(rows).partition(": ")
    return (
        f"<section><h2>{html.escape(title)}</h2><p>{html.escape(rest)}</p>{_table(rows)}"
        f'<div class="plots">{plots}</div></section>'
    )


# The table.


def _table(rows: Sequence[Cell]) -> str:
    known = [cell for cell in rows if cell.report]
    recovered = RECOVERED if any(cell.recovered for cell in rows) else ()
    titles = [*AREAS, *recovered, "forwards", "backwards", "seconds", "MB"]
    heads = "".join(f'<th scope="col">{t}<span class="means">{MEANING[t]}</span></th>' for t in titles)
    scales = [_scale([row for cell in known for row in cell.rows(*area)]) for area in AREAS.values()]
    lines = "".join(_line(cell, scales, recovered, len(titles)) for cell in rows)
    if known:
        bare = "".join(f"<td>{known[0].rows(m, 'no signal')[0].value:.3g}</td>" for m, _ in AREAS.values())
        lines += (
            f'<tr class="bare"><th scope="row">what no signal gets</th>{bare}<td colspan="{len(titles) - 4}"></td></tr>'
        )
    return (
        '<div class="sheet" role="region" aria-label="The searches" tabindex="0"><table>'
        f'<thead><tr><th scope="col">Search</th>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _line(cell: Cell, scales: Sequence[tuple[float, float]], recovered: Sequence[str], columns: int) -> str:
    select = f'<span class="of">{html.escape(cell.select)}</span>' if cell.search != RANDOM else ""
    warned = f'<span class="warned">{html.escape(warnings(cell))}</span>' if cell.flags else ""
    head = f'<th scope="row"><span class="name">{html.escape(cell.search)}</span>{select}{warned}</th>'
    if cell.failed:
        return f'<tr class="first">{head}<td class="failed" colspan="{columns}">failed: {html.escape(cell.failed)}</td></tr>'
    areas = [_cell(cell.rows(*a)[0], *scale, 0) for a, scale in zip(AREAS.values(), scales, strict=True)]
    known = [cell.recovered.get(name) for name in recovered]
    numbers = [*("–" if v is None else f"{v:.2f}" for v in known), *costs(cell)]
    return f'<tr class="first">{head}{"".join(areas)}{"".join(f"<td><b>{n}</b></td>" for n in numbers)}</tr>'


# The curves.


def _plot(cell: Cell, chance: Cell | None, low: float, high: float) -> str:
    start, end = math.log(cell.sizes[0]), math.log(cell.sizes[-1])

    def x(k: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (math.log(k) - start) / (end - start), 1)

    def y(f: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(f, low), high)) / (high - low), 1)

    def path(rows: Sequence[Row]) -> str:
        return "M" + "L".join(f"{x(k)} {y(row.value)}" for k, row in zip(cell.sizes, rows, strict=True))

    def band(rows: Sequence[Row]) -> str:
        ends = [(x(k), y(r.low), y(r.high)) for k, r in zip(cell.sizes, rows, strict=True) if math.isfinite(r.low)]
        return " ".join([*(f"{at},{down}" for at, down, _ in ends), *(f"{at},{up}" for at, _, up in reversed(ends))])

    drawn = [f'<path class="axis" d="M{LEFT:g} {y(f)}H{WIDTH - RIGHT:g}"/>' for f in (0.0, 1.0)]
    drawn += [f'<text class="tick f" x="{LEFT - 6:g}" y="{y(f) + 3.5:g}">{f:g}</text>' for f in (0.0, 1.0)]
    drawn += [f'<text class="tick k" x="{x(k)}" y="{HEIGHT - 8:g}">{k:g}</text>' for k in _decades(cell.sizes)]
    if chance is not None and chance.sizes == cell.sizes:
        drawn.append(f'<path class="chance" d="{path(chance.rows("f", "absolute"))}"/>')
    said = []
    for i, ranking in enumerate(("absolute", "signed")):
        rows = cell.rows("f", ranking)
        colour = f"s{1 - i}"
        drawn.append(
            f'<g class="{colour}"><polygon class="band" points="{band(rows)}"/><path class="f" d="{path(rows)}"/></g>'
        )
        numbers = ", ".join(f"{row.value:.2f} at {k:g}" for k, row in zip(cell.sizes, rows, strict=True))
        said.append(f"{ranking} ranking: {numbers}")
    flags = "".join(f"<p>{html.escape(flag)}</p>" for flag in [*cell.flags, *_beyond(cell, low, high)])
    return (
        f"<figure><figcaption>{html.escape(named(cell))}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="Faithfulness over share k; {"; ".join(said)}">'
        f"{''.join(drawn)}</svg>{flags}</figure>"
    )


def _decades(sizes: Sequence[float]) -> list[float]:
    """Powers of ten among the sizes' range; its two ends where there are fewer than two."""
    between = range(math.ceil(math.log10(sizes[0]) - 1e-9), math.floor(math.log10(sizes[-1]) + 1e-9) + 1)
    return [10.0**power for power in between] if len(between) > 1 else [sizes[0], sizes[-1]]


def _beyond(cell: Cell, low: float, high: float) -> Iterator[str]:
    """What the plot cannot show."""
    for ranking in ("signed", "absolute"):
        values = [row.value for row in cell.rows("f", ranking)]
        if max(values) > high or min(values) < low:
            yield f"off the scale: f runs from {_number(min(values))} to {_number(max(values))} in the {ranking} ranking"


# How it was made.


def _made(cell: Cell) -> str:
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in cell.report.get("notes", ()))
    recovered = {f"recovered {name}": value for name, value in cell.recovered.items()}
    known = facts({**cell.provenance, "cost": cell.cost, "judged": cell.judged, **recovered, "key": cell.key})
    listed = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in known)
    title = html.escape(f"{cell.behaviour}, {cell.unit}: {named(cell)}")
    return f'<details class="s0"><summary>{title}</summary><ul>{notes}</ul><dl>{listed}</dl></details>'
