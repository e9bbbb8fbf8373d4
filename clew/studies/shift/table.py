"""The table of SHIFT as people know it: a line for each way, a column for each measure."""

from __future__ import annotations

from dataclasses import replace

from clew.report import Report, Row


def markdown(report: Report) -> str:
    """Rows of a report by what they are of, in percent with their intervals, as a Markdown table and its notes.

    >>> print(markdown(Report("", (Row("worst group", 0.5, 0.4, 0.6, "SHIFT", 43),))))
    |  | worst group | units held at 0 |
    |:--|:--|--:|
    | SHIFT | 50.0 [40.0, 60.0] | 43 |
    <BLANKLINE>
    """
    measures = list(dict.fromkeys(row.measure for row in report.rows))
    lines = [f"|  | {' | '.join(measures)} | units held at 0 |", f"|:--|{':--|' * len(measures)}--:|"]
    for of in dict.fromkeys(row.of for row in report.rows):
        rows = {row.measure: row for row in report.rows if row.of == of}
        nodes = next(iter(rows.values())).nodes
        cells = [_percent(rows.get(measure)) for measure in measures]
        lines.append(f"| {of} | {' | '.join(cells)} | {'' if nodes is None else nodes} |")
    return "\n".join([*lines, "", *report.notes])


def _percent(row: Row | None) -> str:
    if row is None:
        return ""
    return replace(row, value=100 * row.value, low=100 * row.low, high=100 * row.high).said(".1f")
