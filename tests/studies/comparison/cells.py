"""Cells of a bench whose numbers are known: one that worked, one drawn at random, one that failed."""

from typing import Any

from clew.report import Report, Row
from clew.studies.comparison.results import Cell

SIZES = (0.01, 0.1, 1.0)
COST = {"forwards": 6.0, "backwards": 5.0, "seconds": 1.25, "cpu_seconds": 1.0, "memory": 3_000_000}


def cell(search: str = "eap", f: float = 0.5, **changes: Any) -> Cell:
    rows = [Row(m, f, f - 0.1, f + 0.1, of, None, 4, "edge") for m in
            ("CPR", "CMD", "CPR over log k", "CMD over log k") for of in ("signed", "absolute")]  # fmt: skip
    rows += [Row(r.measure, 0.25, float("nan"), float("nan"), "no signal") for r in rows[::2]]
    for of in ("signed", "absolute"):
        values = zip((0.0, f, 1.0), (1, 10, 100), strict=True)
        rows += [Row("f", v, v - 0.1, v + 0.1, of, n, 4, "edge") for v, n in values]
    report = Report("areas", tuple(rows), ("a note",)).to_json()
    made = {"prompts": {"pairs": 5, "metric": "logit_difference"}, "options": {"steps": 7}}
    given = {"report": report, "sizes": SIZES, "cost": COST, "provenance": made, "flags": ("overshoot: too much",)}
    return Cell(f"key of {search}", "tiny", "ioi", "edges", search, "top", **(given | changes))


CHANCE = cell("random", 0.1, cost={}, flags=())
FAILED = Cell("k", "tiny", "ioi", "edges", "acdc", "ilp", failed="it needs scipy")
