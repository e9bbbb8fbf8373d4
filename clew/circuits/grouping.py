"""Grouping: nodes that get the same from the same and give the same to the same are one supernode.

The profile of a node is its signed edges: what comes in from each node, and what goes out to each. Two nodes are as
alike as the harmonic mean of the cosines of both, cosines below 0 counted as 0 (the similarity of ADAG, arXiv:2604.07615,
over edges in place of gradients). Where tokens are known of both, on which they fire or which they promote, the share
that is common counts too. Groups come by complete linkage, so that *any* two members of a group are alike, which
neither k-means nor spectral clustering promises. Whether a group acts as one is for `clew.verify(..., by="supernodes")`
to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.circuits.circuit import ERROR, Circuit, Node
from clew.circuits.supernode import Supernode

NEVER = 2.0
"""The distance of nodes that cannot be in one group; those that have nothing in common are 1 apart."""
TOLD = ("promotes", "top_tokens")
"""Details that hold the tokens of units by address, those first that name a group best."""
Item = tuple[int, ...]
"""The nodes that are grouped as one: a node, or a unit at all its positions."""


def grouped(
    circuit: Circuit,
    *,
    similar: float = 0.5,
    most: int = 200,
    span: int = 7,
    meaning: float = 0.25,
    together: bool = False,
) -> Circuit:
    """The circuit with supernodes of its units.

    Args:
        circuit: with edges, as `edges`, `attribution_graph` or a method of edges gives them. Errors, and the tokens and
            logits of a graph of one prompt, stay alone.
        similar: any two members of a group are at least so alike, from 0 to 1.
        most: of the strongest so many units.
        span: members lie within so many layers.
        meaning: the weight of common tokens, where they are known of both; 0 looks at edges alone.
        together: a unit is one whatever its position, and its edges are summed; by default members share a position.

    Returns: the same nodes and edges; groups of two or more, strongest first, named by the token that most members have
        in common or else after the strongest member; `similarity` is that of the two members least alike.
    Raises: ValueError for a circuit without edges, or options out of range. ImportError without scipy.
    """
    _check(circuit, similar, most, span, meaning)
    strong = np.abs(circuit.score)
    units = [i for i in np.argsort(-strong, kind="stable").tolist() if _is_unit(circuit, i)]
    items = _items(circuit, units, together)[:most]
    alike = _alike(circuit, items, meaning, together)
    apart = np.where(_may_meet(circuit, items, span, together), 1 - alike, NEVER)
    found = _complete_link(apart, 1 - similar)
    found.sort(key=lambda group: -sum(float(strong[list(items[k])].sum()) for k in group))
    names, made, nodes = Counter[str](), list[Supernode](), circuit.nodes
    for places in found:
        group = [items[k] for k in places]
        name = _name([nodes[item[0]] for item in group], circuit.details)
        names[name] += 1
        members = tuple(nodes[i].address for item in group for i in sorted(item))
        least = float(alike[np.ix_(places, places)].min())
        made.append(Supernode(name if names[name] == 1 else f"{name} ({names[name]})", members, least))
    return circuit.with_supernodes(made)


def _check(circuit: Circuit, similar: float, most: int, span: int, meaning: float) -> None:
    if not len(circuit.weight):
        raise ValueError(
            'nodes are grouped by their edges, and this circuit has none; wire it with clew.find(..., circuit, by="edges")'
        )
    if not 0 < similar <= 1 or not 0 <= meaning <= 1:
        raise ValueError(f"similar={similar} and meaning={meaning}: give shares, similar above 0")
    if most < 2 or span < 0:
        raise ValueError(f"most={most} and span={span}: give at least 2 units, and layers from 0 on")


def _is_unit(circuit: Circuit, i: int) -> bool:
    site = circuit.sites[int(circuit.site[i])]
    bare = circuit.kind.of == "prompt_graph" and site.part in ("embed", "final")
    return int(circuit.unit[i]) != ERROR and not bare


def _items(circuit: Circuit, units: Sequence[int], together: bool) -> list[Item]:
    """What is grouped, strongest first."""
    if not together:
        return [(i,) for i in units]
    of_unit: dict[tuple[int, int], list[int]] = {}
    for i in units:
        of_unit.setdefault((int(circuit.site[i]), int(circuit.unit[i])), []).append(i)
    return [tuple(nodes) for nodes in of_unit.values()]


def _alike(circuit: Circuit, items: Sequence[Item], meaning: float, together: bool) -> Float[np.ndarray, "item item"]:
    into, out = (
        _cosines(_profile(circuit, items, *ends, together)) for ends in (("target", "source"), ("source", "target"))
    )
    both = into + out
    mean = np.divide(2 * into * out, both, out=np.zeros_like(both), where=both > 0)
    alike = np.where(np.isnan(into), out, np.where(np.isnan(out), into, mean))
    alike = np.nan_to_num(alike)
    shared = _shared_tokens(circuit, items)
    return np.where(np.isnan(shared), alike, (1 - meaning) * alike + meaning * shared)


def _profile(
    circuit: Circuit, items: Sequence[Item], own: str, others: str, together: bool
) -> Float[np.ndarray, "item other"]:
    """The weights between each item and every node, at one end of the edges; the last column is the metric."""
    row = np.full(len(circuit) + 1, -1)
    for r, item in enumerate(items):
        row[list(item)] = r
    column = np.append(_unit_numbers(circuit) if together else np.arange(len(circuit)), len(circuit))
    table = np.zeros((len(items), len(circuit) + 1))
    at, to = row[getattr(circuit, own)], column[getattr(circuit, others)]  # OUTPUT is the last of both
    np.add.at(table, (at[at >= 0], to[at >= 0]), circuit.weight[at >= 0])
    return table


def _unit_numbers(circuit: Circuit) -> Int[np.ndarray, " node"]:
    """The same number for the same unit, whatever its position."""
    _, number = np.unique(np.stack([circuit.site, circuit.unit], 1), axis=0, return_inverse=True)
    return number.reshape(-1)


def _cosines(table: Float[np.ndarray, "item other"]) -> Float[np.ndarray, "item item"]:
    """Cosines of rows, not below 0; nan where one of them is empty, so that nothing can be said."""
    size = np.linalg.norm(table, axis=1)
    unit = table / np.where(size > 0, size, np.nan)[:, None]
    return np.clip(unit @ unit.T, 0, 1)


def _shared_tokens(circuit: Circuit, items: Sequence[Item]) -> Float[np.ndarray, "item item"]:
    """The Jaccard index of the tokens told of each; nan where of one of them none is told."""
    nodes = circuit.nodes
    told = [set[str]().union(*(_told(nodes[item[0]], circuit.details, detail) for detail in TOLD)) for item in items]
    return np.array([[len(a & b) / len(a | b) if a and b else np.nan for b in told] for a in told]).reshape(
        len(items), len(items)
    )


def _may_meet(circuit: Circuit, items: Sequence[Item], span: int, together: bool) -> Bool[np.ndarray, "item item"]:
    first = [item[0] for item in items]
    layer = np.array([-1 if s.layer is None else s.layer for s in circuit.sites])[circuit.site[first]]
    near = np.abs(layer[:, None] - layer) <= span
    position = circuit.position[first]
    return near if together else near & (position[:, None] == position)


def _complete_link(apart: Float[np.ndarray, "item item"], most: float) -> list[list[int]]:
    """Groups of two or more, any two of a group at most so far apart."""
    if len(apart) < 2:
        return []
    try:
        hierarchy: Any = import_module("scipy.cluster.hierarchy")  # has no types
        distance: Any = import_module("scipy.spatial.distance")
    except ImportError as error:
        raise ImportError("grouping nodes needs scipy: pip install 'clew[probes]'") from error
    even = (apart + apart.T) / 2
    np.fill_diagonal(even, 0)
    tree = hierarchy.linkage(distance.squareform(even, checks=False), "complete")
    number: Int[np.ndarray, " item"] = hierarchy.fcluster(tree, most + 1e-9, "distance")
    groups: list[list[int]] = [np.flatnonzero(number == n).tolist() for n in np.unique(number)]
    return [group for group in groups if len(group) > 1]


def _name(group: Sequence[Node], details: Mapping[str, Any]) -> str:
    """The token that most members have, if at least half of them do; else the strongest member's label or address."""
    for detail in TOLD:
        told = Counter(token for node in group for token in _told(node, details, detail))
        token, times = max(told.items(), key=lambda pair: pair[1], default=("", 0))
        if times > 1 and 2 * times >= len(group):
            return f"promotes {token!r}" if detail == "promotes" else f"fires on {token!r}"
    return f"{group[0].label or group[0].address.partition('@')[0]} and {len(group) - 1} more"


def _told(node: Node, details: Mapping[str, Any], detail: str) -> set[str]:
    """The tokens that a detail holds of a unit, without case and spaces."""
    tokens = details.get(detail, {}).get(node.address.partition("@")[0], ())
    return {token.strip().lower() for token in tokens} - {""}
