"""Greedy: grow the circuit from the metric upstream."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.circuits.circuit import OUTPUT, Circuit
from clew.circuits.selection._items import check_budget, check_wired, pick, scores
from clew.circuits.selection._stations import Stations, structure


def greedy(circuit: Circuit, n: int, *, signed: bool = False) -> Circuit:
    """Take, n times, the strongest edge into what is there already; at first that is the metric alone.

    With a head's writer all its readers are there, so edges into them may follow. At the end edges that nothing from
    the embedding reaches are left out, so a component circuit may have fewer than n edges; a circuit of a view has n.

    Args: signed: the edge of largest weight, rather than of largest |weight|.
    Returns: a connected circuit, see `connected`.
    Raises: ValueError for a circuit without edges, an n below 0, or weights that are nan.
    Source: MIB (arXiv:2504.13151), after Hanna et al. 2024 (arXiv:2403.17806). The n edges are theirs; how they are
    found differs: one step per node, not per edge.
    """
    check_budget(n)
    check_wired(circuit)
    return pick(circuit, grown(circuit, structure(circuit), scores(circuit, signed=signed), n))


def grown(
    circuit: Circuit, stations: Stations, weight: Float[np.ndarray, " edge"], n: int
) -> Int[np.ndarray, " chosen"]:
    """The edges that greedy growth takes and that something reaches."""
    joined, bar = _joins(circuit, stations, weight)

    def taken(i: int) -> Bool[np.ndarray, " edge"]:
        """Edges taken until the i-th node has joined: those never below the bar since their target was there."""
        floor = np.full(len(bar), np.inf)
        floor[:i] = np.minimum.accumulate(bar[i:0:-1])[::-1]
        return weight >= floor[joined[circuit.target]]

    last = len(bar) - 1
    i = min(1 + bisect_left(range(1, last + 1), n, key=lambda i: np.count_nonzero(taken(i))), last)
    before = taken(i - 1)
    rest = np.flatnonzero(taken(i) & ~before)
    rest = rest[np.argsort(-weight[rest], kind="stable")][: n - np.count_nonzero(before)]
    return stations.on_paths(circuit, np.concatenate([np.flatnonzero(before), rest]))


def _joins(
    circuit: Circuit, stations: Stations, weight: Float[np.ndarray, " edge"]
) -> tuple[Int[np.ndarray, " node_and_metric"], Float[np.ndarray, " join"]]:
    """In which step each node can receive edges, and the weight of the edge by which each step's writer joined.

    Step 0 is the metric's. The last step, of weight -inf, stands for the end; nodes that never join have it.
    """
    into = np.argsort(circuit.target, kind="stable")
    start = np.searchsorted(circuit.target[into], np.arange(OUTPUT, len(circuit) + 1))
    joined = np.full(len(circuit) + 1, -1)
    best, out = np.full(len(circuit), -np.inf), np.ones(len(circuit), bool)
    bar, new = [np.inf], np.array([OUTPUT])
    while True:
        joined[new] = len(bar) - 1
        for reader in new:
            edges = into[start[reader + 1] : start[reader + 2]]
            np.maximum.at(best, circuit.source[edges], weight[edges])
        open = np.where(out, best, -np.inf)
        writer = int(open.argmax())
        bar.append(open[writer])
        if open[writer] == -np.inf:
            return np.where(joined < 0, len(bar) - 1, joined), np.array(bar)
        out[writer] = False
        new = stations.reader[stations.writer == writer]
        new = new[joined[new] < 0]
