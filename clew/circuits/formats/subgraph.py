"""The supernodes of a graph as the record in which graph viewers keep a view of it: pinned nodes, groups, names.

It belongs to an attribution graph (`circuit.save(path, format="attribution_graph")`), whose node ids it speaks of.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clew.circuits.circuit import Circuit
from clew.circuits.formats._graph_nodes import supernodes_of
from clew.circuits.formats.attribution_graph import lists, node_ids, view_of
from clew.files import check_spelling, entry, read_any_json, write_json

NAMES = ("modelId", "slug", "displayName", "pinnedIds", "supernodes", "clerps", "pruningThreshold", "densityThreshold")


def write(circuit: Circuit, path: str | Path, *, model: str = "", slug: str = "clew", name: str = "") -> Path:
    """Write the record of the circuit's supernodes as JSON.

    Args: model: as the graph's `scan`; that of the circuit's provenance by default. slug: the graph's. name: shown for it.
    """
    record: dict[str, Any] = {
        "modelId": model or str(circuit.provenance.get("model", "model")),
        "slug": slug,
        "displayName": name or Path(path).stem,
        **view_of(circuit, node_ids(circuit)),
        "clerps": [],
        "pruningThreshold": None,
        "densityThreshold": None,
    }
    return write_json(path, record)


def with_subgraph(circuit: Circuit, path: str | Path) -> Circuit:
    """The circuit with the supernodes of a record, and no others.

    Raises: ValueError naming the file for a record that is none, or that speaks of nodes that the circuit does not have.
    """
    record, origin = read_any_json(path, "; a record of a graph's supernodes was expected"), str(path)
    for name in ("modelId", "slug"):
        entry(record, name, str, origin=origin)
    check_spelling(record, NAMES, origin)
    address = dict(zip(node_ids(circuit), (node.address for node in circuit), strict=True))
    return circuit.with_supernodes(supernodes_of(lists(record, origin), address, origin))
