"""Connected: without what leads nowhere."""

from __future__ import annotations

import numpy as np

from clew.circuits.circuit import Circuit
from clew.circuits.selection._items import check_wired, pick
from clew.circuits.selection._stations import structure


def connected(circuit: Circuit) -> Circuit:
    """The edges that lie on a path to the metric, and the nodes on them.

    In a component graph the path starts at the embedding and passes a head or MLP from any of its readers to its
    writer; a node of a view is a start of its own. Nothing changes the metric less than what this takes away:
    patching an edge that lies on no path does nothing.

    Raises: ValueError for a circuit without edges.
    """
    check_wired(circuit)
    return pick(circuit, structure(circuit).on_paths(circuit, np.arange(len(circuit.weight))))
