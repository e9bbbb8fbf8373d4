"""The columns of a circuit: their names, the numbers with a meaning of their own, and their way to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clew.files import LARGEST, check_whole, entry
from clew.sites import Site

ERROR = -1
"""The unit of an error node: all that the dictionary at its site leaves unexplained."""
ANYWHERE = -1
"""The position of a node that stands for its unit at every position."""
OUTPUT = -1
"""The target of an edge that ends in the metric."""
NODE_COLUMNS = ("site", "unit", "position", "score", "patch_mean", "score_error")
EDGE_COLUMNS = ("source", "target", "weight", "weight_error")
OPTIONAL = ("score_error", "weight_error")
"""Columns that older files do not have; nan then."""
WHOLE = ("site", "unit", "position", "source", "target")
"""Columns of whole numbers; the others are of floats, null where a number is not known."""


def plain(column: np.ndarray) -> list[Any]:
    """A column as plain JSON, nan as null."""
    if column.dtype.kind == "f":
        return [None if np.isnan(v) else v for v in column.astype(np.float64).tolist()]
    return column.tolist()


def read_sites(listed: Sequence[Mapping[str, Any]], origin: str) -> dict[Site, int]:
    """Units by site, in the order listed. Raises: ValueError for what is no site, or no number of units."""
    found: dict[Site, int] = {}
    for i, held in enumerate(listed):
        place = f"{origin}: sites[{i}]"
        check_whole(held, ("site", "units"), place)
        site = Site.parse(entry(held, "site", str, origin=place))
        if site in found:
            raise ValueError(f"{place} is {site}, which is listed twice")
        found[site] = entry(held, "units", int, origin=place, at_least=0)
    return found


def read_columns(tables: Mapping[str, Any], origin: str, *, optional: bool) -> dict[str, np.ndarray]:
    """The columns of both tables. Raises: ValueError naming the column, and the row that is no number.

    Args: optional: whether those of OPTIONAL may be missing.
    """
    found: dict[str, np.ndarray] = {}
    for table, names in (("nodes", NODE_COLUMNS), ("edges", EDGE_COLUMNS)):
        held, place = entry(tables, table, dict, origin=origin), f"{origin}: {table}"
        due = [name for name in names if name in held or not (optional and name in OPTIONAL)]
        check_whole(held, due, place)
        for name in due:
            values = entry(held, name, list, origin=place)
            found[name] = (_integers if name in WHOLE else _floats)(f"{place}.{name}", values)
    return found


def check_columns(columns: Mapping[str, np.ndarray], units: Mapping[Site, int], length: int | None) -> None:
    """Raises: ValueError, as the end of a sentence that begins with a file's name, for columns that do not fit."""
    for names in (NODE_COLUMNS, EDGE_COLUMNS):
        sizes = {name: len(columns[name]) for name in names if name in columns}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"has columns of different lengths: {sizes}")
    site, unit, position = columns["site"], columns["unit"], columns["position"]
    if row := _first((site < 0) | (site >= len(units))):
        raise ValueError(f"has nodes at a site that it does not list ({len(units)} are listed): row {row[0]} of nodes")
    here = np.array([*units.values()], np.int64)[site]
    if row := _first((unit < ERROR) | (unit >= here)):
        i = row[0]
        raise ValueError(
            f"has the unit {unit[i]} in row {i} of nodes, where {[*units][site[i]]} has {here[i]} units, from 0 on, and "
            f"{ERROR} for its error"
        )
    if row := _first((position < ANYWHERE) | (position >= (position.max(initial=0) + 1 if length is None else length))):
        raise ValueError(
            f"has the position {position[row[0]]} in row {row[0]} of nodes; "
            + ("positions count from 0" if length is None else f"its prompts have {length} tokens, from 0 on")
            + f", and {ANYWHERE} is all of them"
        )
    n, source, target = len(site), columns["source"], columns["target"]
    if row := _first((source < 0) | (source >= n) | (target < OUTPUT) | (target >= n)):
        raise ValueError(f"has edges to nodes that do not exist (there are {n} nodes): row {row[0]} of edges")


def _first(wrong: np.ndarray) -> list[int]:
    return np.flatnonzero(wrong)[:1].tolist()


def _integers(place: str, values: list[Any]) -> np.ndarray:
    for row, value in enumerate(values):
        if type(value) is not int or not -(2**63) <= value < 2**63:
            raise ValueError(f"{place} is a column of whole numbers, and row {row} holds {value!r:.80}")
    return np.array(values, np.int64)


def _floats(place: str, values: list[Any]) -> np.ndarray:
    for row, value in enumerate(values):
        if value is not None and (type(value) not in (int, float) or not abs(value) <= LARGEST):
            raise ValueError(
                f"{place} is a column of finite numbers (null: not known), and row {row} holds {value!r:.80}"
            )
    return np.array([np.nan if v is None else v for v in values], np.float64)
