"""What to hold numbers against: the rows of a report that chance made, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clew.apps.agent._answers import Number

IS_ONE = "it is a floor itself: what chance gives"
COMPARES = "it compares with random draws already, so it has no floor of its own"
ABOVE = " above "
BY_CHANCE = ("random", "shuffled", "dealt anew", "scrambled")
NONE = {
    "circuits": "this measure draws nothing at random; `verify` with by=controls has random circuits of equal size and depth",
    "edits": "no random edit was measured beside it; `verify` with options.controls of 1 or more makes some",
    "dictionaries": "no random dictionary was measured beside it; measure one of the same shape in the same way",
}
SCORE = (
    "no floor: a score is an estimate of what one unit does to the metric on the training half; `verify` with by=controls "
    "measures the whole circuit on the other half beside random ones"
)
DESCRIBES = "no floor: it describes one run and claims nothing beyond it"


def of_rows(rows: Sequence[dict[str, Any]], room: str) -> list[Number]:
    """The rows of a report, each with what chance gives of the same measure at the same size. Args: room: of the measure."""
    return [_of_row(row, rows, room) for row in rows]


def _of_row(row: dict[str, Any], rows: Sequence[dict[str, Any]], room: str) -> Number:
    size = f", {row['nodes']} {row['unit']}s" if row["nodes"] is not None else ""
    name = f"{row['measure']} {row['of']}".strip() + size
    floor, said = _floor(row, rows, room)
    return Number(name, row["value"], row["low"], row["high"], row["examples"], floor, said)


def _floor(row: dict[str, Any], rows: Sequence[dict[str, Any]], room: str) -> tuple[float | None, str]:
    if _is_chance(row["of"]):
        return None, IS_ONE
    if ABOVE in row["measure"] or row["measure"].endswith(" p"):
        return None, COMPARES
    for other in _beside(row, rows):
        return other["value"], f"{other['of']}, measured alike"
    for other in rows:
        known = None not in (row["value"], other["value"])
        if known and other["of"] == row["of"] and other["measure"].startswith(row["measure"] + ABOVE):
            return row["value"] - other["value"], other["measure"].partition(ABOVE)[2]
    return None, NONE.get(room, DESCRIBES)


def _beside(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of chance that measure the same: first those that are named after what this row is of."""
    same = [
        r for r in rows if _is_chance(r["of"]) and all(r[name] == row[name] for name in ("measure", "nodes", "unit"))
    ]
    yield from (r for r in same if row["of"] and row["of"] in r["of"])
    yield from (r for r in same if r["of"] in BY_CHANCE)


def _is_chance(of: str) -> bool:
    return of.startswith(BY_CHANCE)


def of_label(address: str, scores: Sequence[dict[str, Any]]) -> list[Number]:
    """The scores of a unit's name, each with its floor."""
    rows = [{"unit": "node", "nodes": None, "examples": 0, "of": "", **row} for row in scores]
    found = of_rows(rows, "names")
    return [Number(f"{address}: {n.name}", n.value, n.low, n.high, n.n, n.floor, _untested(n)) for n in found]


def _untested(number: Number) -> str:
    said = "this name was scored without a floor; `explain` with floors such as shuffled scores one beside it"
    return said if number.floor is None and number.floor_is == DESCRIBES else number.floor_is


def plain(name: str, value: float | None, why: str = DESCRIBES, n: int = 0) -> Number:
    """A number without an interval, and why it has no floor."""
    return Number(name, value, None, None, n, None, why)
