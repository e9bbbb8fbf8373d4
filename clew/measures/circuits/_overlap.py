"""How much circuits share: their nodes and edges as numbers, the overlap of two sets, and what chance gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from clew.circuits.circuit import ANYWHERE, OUTPUT, Circuit
from clew.statistics.tests import log_choose

Ids = Int[np.ndarray, " _"]
"""Numbers of some nodes or some edges."""


def node_ids(circuits: Sequence[Circuit]) -> list[Ids]:
    """A number for each node, in the order of the columns: equal where (site, unit, position) is equal."""
    place = {s: i for i, s in enumerate(dict.fromkeys(s for c in circuits for s in c.sites))}
    units = 2 + max(int(c.unit.max(initial=0)) for c in circuits)
    positions = 2 + max(int(c.position.max(initial=0)) for c in circuits)
    found = []
    for c in circuits:
        site = np.array([place[s] for s in c.sites], np.int64)[c.site]
        found.append((site * units + c.unit + 1) * positions + c.position + 1)
    return found


def edge_ids(circuits: Sequence[Circuit]) -> list[Ids]:
    """A number for each edge, in the order of the columns: equal where both ends are equal."""
    nodes = node_ids(circuits)
    every = np.unique(np.concatenate(nodes))
    found = []
    for c, ids in zip(circuits, nodes, strict=True):
        rank = np.searchsorted(every, ids)
        target = np.where(c.target == OUTPUT, len(every), rank[c.target])
        found.append(rank[c.source] * (len(every) + 1) + target)
    return found


def placed(circuit: Circuit) -> bool:
    """Whether its nodes have positions."""
    return bool((circuit.position != ANYWHERE).any())


def alike(circuits: Sequence[Circuit], like: Circuit | None = None) -> list[Circuit]:
    """With positions where all have them, `like` too, and all prompts had one length; else all without.

    A circuit that has none keeps its edges; summing over positions loses them.
    """
    lengths = {c.kind.length for c in circuits}
    if len(lengths) == 1 and all(map(placed, circuits)) and (like is None or placed(like)):
        return list(circuits)
    return [c.everywhere() if placed(c) else c for c in circuits]


def strongest(ids: Ids, score: Float[np.ndarray, " _"], n: int) -> Ids:
    """The n ids of largest |score|; ties keep their order, as in `Circuit.top`."""
    return ids[np.argsort(-np.abs(score), kind="stable")[:n]]


def jaccard(one: Ids, two: Ids) -> float:
    """Shared over all; 1 for two empty sets."""
    shared = len(np.intersect1d(one, two))
    either = len(one) + len(two) - shared
    return shared / either if either else 1.0


def chance_jaccard(one: int, two: int, pool: int) -> tuple[float, float, float]:
    """Mean and central 95 % of the Jaccard overlap of two random sets of `one` and `two` out of a pool.

    The shared count is hypergeometric, P(x) = C(one, x) C(pool - one, two - x) / C(pool, two), so nothing is drawn.
    """
    assert 0 < one <= pool and 0 < two <= pool
    shared = np.arange(max(0, one + two - pool), min(one, two) + 1)
    chance = np.array(
        [np.exp(log_choose(one, x) + log_choose(pool - one, two - x) - log_choose(pool, two)) for x in shared.tolist()]
    )
    overlap, below = shared / (one + two - shared), np.cumsum(chance) / chance.sum()
    low, high = overlap[np.searchsorted(below, (0.025, 0.975))]
    return float((overlap * chance).sum() / chance.sum()), float(low), float(high)


def on_union(ids: Sequence[Ids], scores: Sequence[np.ndarray]) -> tuple[Ids, Float[np.ndarray, "circuit id"]]:
    """Every id of any circuit, and each circuit's score for it: 0 where it is no node, for it has no effect there."""
    every = np.unique(np.concatenate(ids))
    table = np.zeros((len(ids), len(every)))
    for row, one, score in zip(table, ids, scores, strict=True):
        row[np.searchsorted(every, one)] = score
    return every, table


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The central 95 % of some values; nan for fewer than two."""
    finite = np.array(values)[np.isfinite(values)]
    if len(finite) < 2:
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def usable(sizes: Sequence[int], most: int) -> list[int]:
    """The sizes that there are nodes for, ascending; all nodes if every size is too large.

    Raises: ValueError for sizes below 1.
    """
    if min(sizes, default=0) < 1:
        raise ValueError(f"sizes are numbers of nodes, from 1 on; {list(sizes)} were given")
    return [n for n in sorted(set(sizes)) if n <= most] or [most]
