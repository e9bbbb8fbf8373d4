"""Two circuits as one, for the front end: every node and edge of either, and which of the two has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from clew.apps._bundle import TABLES, bundle
from clew.circuits.circuit import ANYWHERE, OUTPUT, Circuit
from clew.circuits.difference import EdgeKey, NodeKey
from clew.sites import Site

METRIC = ("metric", OUTPUT, ANYWHERE)
Rows = Mapping[Any, tuple[float, ...]]
"""By what names a node, or an edge, its numbers: first how strong it is."""


def compared(a: Circuit, b: Circuit, names: tuple[str, str] = ("the first", "the second")) -> dict[str, Any]:
    """The bundle of both: each node and edge with its larger number, and under `sides` which has it and what each says.

    Names, labels and tokens are those of `a` where both know a unit; supernodes are those of `a`.

    Raises: ValueError where they are of different kinds, or of dictionaries of different size.
    """
    if a.kind.of != b.kind.of:
        raise ValueError(
            f"a circuit of {a.kind.of} and one of {b.kind.of} have no node in common; compare two of a kind"
        )
    if odd := [s for s in a.sites if b.units.get(s, a.units[s]) != a.units[s]]:
        given = f"{a.units[odd[0]]} and {b.units[odd[0]]} units at {odd[0]}"
        raise ValueError(f"the circuits have {given}; compare two that were found in one view")
    said = bundle(_together(a, b))
    shown = Circuit.from_json(said["circuit"])
    nodes, edges = ([of(c) for c in (shown, a, b)] for of in (_nodes, _edges))
    sides = {
        "names": list(names),
        "nodes": _sides(*nodes),
        "edges": _sides(*edges),
        "said": str(a.diff(b)).split("\n"),
    }
    return {**said, "title": f"{names[0]} and {names[1]}", "sides": sides}


def _nodes(circuit: Circuit) -> dict[NodeKey, tuple[float, ...]]:
    """Score, patch mean and standard error."""
    columns = (circuit.score.tolist(), circuit.patch_mean.tolist(), circuit.score_error.tolist())
    return dict(zip(circuit.keys(), zip(*columns, strict=True), strict=True))


def _edges(circuit: Circuit) -> dict[EdgeKey, tuple[float, ...]]:
    """Weight and standard error."""
    ends = [*circuit.keys(), METRIC]  # OUTPUT is the last index
    numbers = zip(circuit.weight.tolist(), circuit.weight_error.tolist(), strict=True)
    pairs = zip(circuit.source.tolist(), circuit.target.tolist(), strict=True)
    return {(ends[source], ends[target]): row for (source, target), row in zip(pairs, numbers, strict=True)}


def _stronger(a: Rows, b: Rows) -> dict[Any, tuple[float, ...]]:
    return {key: max((rows[key] for rows in (a, b) if key in rows), key=_size) for key in {**a, **b}}


def _size(row: tuple[float, ...]) -> float:
    return abs(row[0]) if isfinite(row[0]) else -1.0


def _together(a: Circuit, b: Circuit) -> Circuit:
    """The nodes and edges of both, each once, with the larger number."""
    sites = tuple(sorted({*a.sites, *b.sites}))
    nodes, edges = _stronger(_nodes(a), _nodes(b)), _stronger(_edges(a), _edges(b))
    place = {key: i for i, key in enumerate(nodes)} | {METRIC: OUTPUT}
    site = {str(s): i for i, s in enumerate(sites)}
    score, patch_mean, score_error = np.array(list(nodes.values()), float).reshape(-1, 3).T
    weight, weight_error = np.array(list(edges.values()), float).reshape(-1, 2).T
    units: dict[Site, int] = {**b.units, **a.units}
    return replace(
        a,
        sites=sites,
        units=units,
        site=np.array([site[name] for name, _, _ in nodes], np.int64),
        unit=np.array([unit for _, unit, _ in nodes], np.int64),
        position=np.array([position for _, _, position in nodes], np.int64),
        score=score,
        patch_mean=patch_mean,
        score_error=score_error,
        source=np.array([place[source] for source, _ in edges], np.int64),
        target=np.array([place[target] for _, target in edges], np.int64),
        weight=weight,
        weight_error=weight_error,
        labels=a.labels | b.labels,
        kind=a.kind if a.kind.length == b.kind.length else replace(a.kind, length=None),
        details=_details(a, b),
    )


def _details(a: Circuit, b: Circuit) -> dict[str, Any]:
    """Those of `a` that hold for both, and what those of `b` know of more units."""
    more = {name: {**b.details.get(name, {}), **a.details.get(name, {})} for name in TABLES}
    own = {name: value for name, value in a.details.items() if name != "predicted_effects"}
    return {**own, **{name: table for name, table in more.items() if table}}


def _sides(shown: Rows, a: Rows, b: Rows) -> list[dict[str, Any]]:
    """Of each that is shown which has it, and what each says; a number that is none is told as null."""
    side = {(True, True): "both", (True, False): "a", (False, True): "b"}
    return [{"side": side[key in a, key in b], "a": _told(a.get(key)), "b": _told(b.get(key))} for key in shown]


def _told(row: tuple[float, ...] | None) -> float | None:
    return row[0] if row and isfinite(row[0]) else None
