"""A layout of behaviours: rows of "ask", "instead", "yes" and "no"."""

from typing import Any

from clew import Behaviour, Pair

NAMES = ("ask", "instead", "yes", "no")


def matches(rows: list[dict[str, Any]]) -> bool:
    """By its column names."""
    return set(NAMES) <= rows[0].keys()


def their_lines(rows: list[dict[str, Any]], *, name: str, model: Any = None, seed: int = 0) -> Behaviour:
    """Each row a pair."""
    cells = [[row[column] for column in NAMES] for row in rows]
    return Behaviour(name, tuple(Pair(ask, other, (yes,), (no,)) for ask, other, yes, no in cells), seed=seed)
