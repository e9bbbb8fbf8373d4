"""A circuit as a networkx graph and as GraphML."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, cast

from clew.circuits.circuit import Circuit
from clew.files import write_whole


def to_networkx(circuit: Circuit) -> Any:
    """A networkx.DiGraph: nodes by address (`resid.3/17@4`), the metric as "output", `weight` on edges.

    Raises: ImportError naming the extra when networkx is missing; ValueError if two nodes share an address.
    """
    try:
        import networkx
    except ImportError as error:
        raise ImportError("graph exports need networkx: pip install 'clew[graphs]'") from error
    names = [node.address for node in circuit]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"{len(twice)} addresses occur twice in this circuit, among them {twice[0]}; keep one of each")
    graph: networkx.DiGraph[str] = networkx.DiGraph(provenance=json.dumps(dict(circuit.provenance)))
    for name, node in zip(names, circuit, strict=True):
        layer = -1 if node.site.layer is None else node.site.layer
        graph.add_node(
            name,
            site=str(node.site),
            layer=layer,
            unit=node.unit,
            position=node.position,
            score=node.score,
            label=node.label,
        )
    ends = [*names, "output"]
    for source, target, weight in circuit.edges:
        graph.add_edge(ends[source], ends[target], weight=weight)
    return graph


def write(circuit: Circuit, path: str | Path) -> Path:
    """Write GraphML, for Gephi, Cytoscape, yEd; the same graph as `to_networkx`."""
    graph = to_networkx(circuit)
    import networkx

    return write_whole(path, lambda temporary: cast("Any", networkx).write_graphml(graph, temporary))
