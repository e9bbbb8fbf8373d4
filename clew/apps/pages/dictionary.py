"""Dictionaries side by side as one HTML file that needs nothing else: no network, no server, no script.

Names, notes and provenance are other people's text: all of it is escaped, and the page may run nothing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping

from clew.apps._facts import facts
from clew.apps.pages.frame import framed
from clew.report import Report, Row

Key = tuple[str, str, int | None]

COLOURS = 6
"""Columns that have a colour of their own; then they come round again."""

MEANING = {
    "L0": "units on at a position",
    "FVU": "variance left unexplained; 0 is perfect",
    "uncentred FVU": "squared length left unexplained",
    "MSE": "squared length of the error",
    "cosine": "between a site and its reconstruction",
    "l2 ratio": "length of the reconstruction; 1 is right",
    "reconstruction bias": "1 where no rescaling would help",
    "cross-entropy": "nats per next token",
    "delta cross-entropy": "what splicing costs, nats",
    "loss recovered": "1 is the whole model, 0 the ablation",
    "KL": "from the model's next token, nats",
    "KL score": "1 is the whole model, 0 the ablation",
    "dead": "share of units that never fire",
    "dense": "share of units that fire often",
    "coherence": "largest |cos| of two units",
    "mean max cosine": "of each unit with its nearest other",
    "q*": "part of the dictionary that is identifiable",
    "unique": "share of incoherent units",
    "isometry": "0 where active units are at right angles",
    "firing Jaccard": "positions shared with the best partner",
    "stitched FVU": "a site read from the other's code",
    "swapped FVU": "with the other's directions put in",
}


def dictionary_page(reports: Mapping[str, Report]) -> str:
    """Measures by dictionaries with their intervals, the density of units, and how it was measured, as one HTML text.

    Args: reports: by the name of what was measured; rows of one measure share a scale. To show several
        measures of one dictionary, add their reports.
    Raises: ValueError without a report.
    """
    if not reports:
        raise ValueError("there is nothing to show: give at least one report, by the name of its dictionary")
    title = next(iter(reports)) if len(reports) == 1 else f"{len(reports)} dictionaries side by side"
    made = "".join(_made(name, report, i) for i, (name, report) in enumerate(reports.items()))
    return framed("dictionary", title, {"table": _table(reports), "densities": _densities(reports), "made": made})


def _by_key(report: Report) -> dict[Key, Row]:
    found: dict[Key, Row] = {}
    for row in report.rows:
        found.setdefault((row.measure, row.of, row.nodes), row)
    return found


def _table(reports: Mapping[str, Report]) -> str:
    columns = [_by_key(report) for report in reports.values()]
    keys = [key for key in dict.fromkeys(key for column in columns for key in column) if key[0] != "density"]
    measures = [measure for measure, _, _ in keys]
    keys.sort(key=lambda key: measures.index(key[0]))  # what belongs to one measure stands together
    heads = "".join(f'<th scope="col" class="s{i % COLOURS}">{html.escape(n)}</th>' for i, n in enumerate(reports))
    scales = {m: _scale([row for c in columns for row in c.values() if row.measure == m]) for m in measures}
    lines, before = [], None
    for key in keys:
        rows = [column.get(key) for column in columns]
        low, high = scales[key[0]]
        cells = "".join(_cell(row, low, high, i) for i, row in enumerate(rows))
        first = key[0] != before
        kind = ' class="first"' if first else ""
        lines.append(f'<tr{kind}><th scope="row">{_label(key, first)}</th>{cells}</tr>')
        before = key[0]
    return f'<table><thead><tr><th scope="col">Measure</th>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _label(key: Key, first: bool) -> str:
    """The measure is named once; below it stand what it is of, one a line."""
    measure, of, nodes = key
    parts = [f'<span class="name{"" if first else " again"}">{html.escape(measure)}</span>']
    if first and measure in MEANING:
        parts.append(f'<span class="means">{html.escape(MEANING[measure])}</span>')
    if of or nodes is not None:
        size = "" if nodes is None else f"{nodes:,} nodes"
        parts.append(f'<span class="of">{html.escape(", ".join(filter(None, [of, size])))}</span>')
    return "".join(parts)


def _scale(rows: list[Row]) -> tuple[float, float]:
    """The scale of one measure; it starts at 0 unless the values lie close together far from it."""
    numbers = [v for row in rows for v in (row.value, row.low, row.high) if math.isfinite(v)]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if low > 0 and low < high / 2:
        low = 0.0
    if high < 0 and high > low / 2:
        high = 0.0
    return (low, high) if high > low else (min(low, 0.0), max(high, 0.0) or low + 1.0)


def _cell(row: Row | None, low: float, high: float, column: int) -> str:
    if row is None:
        return '<td class="none">–</td>'
    span = f"{_number(row.low)} to {_number(row.high)}" if _bounded(row) else "no interval"
    return (
        f'<td class="s{column % COLOURS}"><b>{_number(row.value)}</b>{_whisker(row, low, high)}'
        f'<span class="span">{span}</span></td>'
    )


def _bounded(row: Row) -> bool:
    return math.isfinite(row.low) and math.isfinite(row.high)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    if value and abs(value) < 1e-3:
        text = f"{value:.1e}".replace("e-0", "e-")
    else:
        text = f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return text.replace("-", "−")


def _whisker(row: Row, low: float, high: float, width: float = 132) -> str:
    """A bar from 0 to the value, where 0 is on the scale, and the interval over it."""
    if not math.isfinite(row.value):
        return f'<svg viewBox="0 0 {width:g} 14" aria-hidden="true"></svg>'

    def x(value: float) -> float:
        return round(3 + (width - 6) * (value - low) / (high - low), 1)

    drawn = [f'<path class="axis" d="M3 7H{width - 3:g}"/>']
    if low <= 0 <= high:
        left, right = sorted((x(0.0), x(row.value)))
        drawn.append(f'<rect class="bar" x="{left}" y="3" width="{max(right - left, 0):.1f}" height="8" rx="1.5"/>')
    if _bounded(row):
        a, b = x(row.low), x(row.high)
        drawn.append(f'<path class="range" d="M{a} 7H{b}M{a} 4v6M{b} 4v6"/>')
    drawn.append(f'<circle class="dot" cx="{x(row.value)}" cy="7" r="2.6"/>')
    return f'<svg viewBox="0 0 {width:g} 14" aria-hidden="true">{"".join(drawn)}</svg>'


def _densities(reports: Mapping[str, Report]) -> str:
    found = {name: [r for r in report.rows if r.measure in ("dead", "density")] for name, report in reports.items()}
    found = {name: rows for name, rows in found.items() if any(r.measure == "density" for r in rows)}
    if not found:
        return ""
    top = (
        max((v for rows in found.values() for r in rows for v in (r.value, r.high) if math.isfinite(v)), default=0)
        or 1.0
    )
    columns = list(reports)
    cards = "".join(_histogram(name, rows, top, columns.index(name)) for name, rows in found.items())
    return (
        "<section><h2>How often units fire</h2><p>Share of all units by the share of positions at which they fire; "
        f'heights are on one scale.</p><div class="cards">{cards}</div></section>'
    )


def _histogram(name: str, rows: list[Row], top: float, column: int) -> str:
    step, height = 62.0, 120.0
    bars = "".join(_column(row, i * step, step, height, top) for i, row in enumerate(rows))
    said = ", ".join(f"{_bin(row)}: {row.value:.1%}" for row in rows)
    return (
        f'<figure class="s{column % COLOURS}"><figcaption>{html.escape(name)}</figcaption>'
        f'<svg viewBox="0 0 {step * len(rows):g} {height + 44:g}" role="img" aria-label="{html.escape(said)}">'
        f'<path class="axis" d="M0 {height + 18:g}H{step * len(rows):g}"/>{bars}</svg></figure>'
    )


def _bin(row: Row) -> str:
    return "dead" if row.measure == "dead" else row.of.replace("..", " – ")


def _column(row: Row, left: float, step: float, height: float, top: float) -> str:
    if not math.isfinite(row.value):
        return ""
    floor, middle = height + 18, left + step / 2
    tall = height * max(row.value, 0) / top
    drawn = [
        f'<rect class="bar{" dead" if row.measure == "dead" else ""}" x="{left + 9:g}" y="{floor - tall:.1f}" '
        f'width="{step - 18:g}" height="{tall:.1f}" rx="2"/>'
    ]
    high = row.value
    if _bounded(row):
        a, b = (floor - height * max(v, 0) / top for v in (row.low, row.high))
        drawn.append(f'<path class="range" d="M{middle:g} {a:.1f}V{b:.1f}"/>')
        high = max(row.value, row.high)
    drawn.append(
        f'<text class="share" x="{middle:g}" y="{floor - height * max(high, 0) / top - 5:.1f}">{row.value:.1%}</text>'
    )
    drawn.append(f'<text class="bin" x="{middle:g}" y="{floor + 16:g}">{html.escape(_bin(row))}</text>')
    return "".join(drawn)


def _made(name: str, report: Report, column: int) -> str:
    return (
        f'<details class="s{column % COLOURS}"><summary>{html.escape(name)}</summary><p>{html.escape(report.title)}</p>'
        f"{''.join(_paragraphs(report))}</details>"
    )


def _paragraphs(report: Report) -> Iterator[str]:
    if report.notes:
        yield f"<ul>{''.join(f'<li>{html.escape(note)}</li>' for note in report.notes)}</ul>"
    known = facts(report.provenance)
    if known:
        pairs = (f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in known)
        yield f"<dl>{''.join(pairs)}</dl>"
