"""How a circuit hangs together: which nodes belong to one component, and which edges lie on a path to the metric.

In a component graph a head or MLP is a station with two sides: edges arrive at its readers and leave from its writer.
A key-value head that several query heads share is a reader of each of them. In a circuit of a view each node is its
own reader and writer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from clew.circuits.circuit import OUTPUT, Circuit
from clew.sites import READERS, Site


@dataclass(frozen=True, eq=False)
class Stations:
    """The links inside stations, which are no edges: they cost nothing and hold as soon as both ends are there."""

    reader: Int[np.ndarray, " link"]
    """Node at which edges arrive."""
    writer: Int[np.ndarray, " link"]
    """Node of the same station from which edges leave."""
    only_reads: Bool[np.ndarray, " node"]
    """Readers of a component graph: what they hold goes nowhere but to their writers."""
    root: Bool[np.ndarray, " node"]
    """Nodes that need nothing before them: the embedding, and every node of a view, which is active of itself."""

    def on_paths(self, circuit: Circuit, edges: Int[np.ndarray, " edge"]) -> Int[np.ndarray, " kept"]:
        """Those of the circuit's `edges` that lie on a path of them from a root to the metric; a fixed point.

        A graph without circles, as every circuit is, has such a path through an edge just when something feeds its
        source and something uses its target.
        """
        while True:
            source, target = circuit.source[edges], circuit.target[edges]
            reached = np.zeros(len(circuit) + 1, bool)  # the last entry is the metric, OUTPUT
            reached[target] = True
            fed = self.root.copy()
            fed[self.writer[reached[self.reader]]] = True
            left = np.zeros(len(circuit), bool)
            left[source] = True
            used = np.zeros(len(circuit) + 1, bool)
            used[self.reader[left[self.writer]]] = used[OUTPUT] = True
            kept = edges[fed[source] & used[target]]
            if len(kept) == len(edges):
                return kept
            edges = kept


def structure(circuit: Circuit) -> Stations:
    """The stations of a circuit; see above. Raises: ValueError for a component graph with positions."""
    parts = np.array([site.part for site in circuit.sites] or [""])[circuit.site]
    only_reads = np.isin(parts, list(READERS))
    if not circuit.kind.by_edges:
        each = np.arange(len(circuit))
        return Stations(each, each, np.zeros(len(circuit), bool), np.ones(len(circuit), bool))
    if (circuit.position >= 0).any():
        raise ValueError("a component graph has one node for all positions, but this circuit's nodes have positions")
    nodes = {site: np.flatnonzero(circuit.site == i) for i, site in enumerate(circuit.sites)}
    readers, writers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for site in circuit.sites:
        out = Site(READERS[site.part], site.layer) if site.part in READERS else None
        if out in nodes:
            shared_by = circuit.units[out] // circuit.units[site]
            same = circuit.unit[nodes[site]][:, None] == circuit.unit[nodes[out]][None, :] // shared_by
            reader, writer = np.nonzero(same)
            readers.append(nodes[site][reader])
            writers.append(nodes[out][writer])
    return Stations(np.concatenate(readers), np.concatenate(writers), only_reads, parts == "embed")
