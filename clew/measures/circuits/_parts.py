"""The parts of a circuit: which a trial can take away, what they are called, and the circuit without one of them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from clew.circuits.circuit import ERROR, Circuit
from clew.measures.circuits._nodes import NodeTrial
from clew.measures.circuits._trial import Trial

Per = Literal["node", "edge", "site"]


def judged(trial: Trial, circuit: Circuit) -> Circuit:
    """What a trial can take away of a circuit: nodes at sites that it ablates; of edges, those and their ends."""
    if not isinstance(trial, NodeTrial):
        return circuit.wired()
    ablated = np.isin(circuit.site, [i for i, site in enumerate(circuit.sites) if site in trial.sites])
    return circuit.keep(ablated & ((circuit.unit != ERROR) | (trial.ablation.errors == "nodes")))


def names(circuit: Circuit, per: Per) -> list[str]:
    """What each part is called: addresses, pairs of them, or sites that hold a node.

    Raises: ValueError for an unknown kind of part, or edges of a circuit that is judged by its nodes.
    """
    if per not in ("node", "edge", "site"):
        raise ValueError(f"per={per!r} is unknown; a circuit comes apart per node, edge or site")
    if per == "edge" and not circuit.kind.by_edges:
        raise ValueError(
            "this circuit is judged by its nodes, so no edge of it can be taken out; choose per='node' or per='site'"
        )
    if per == "site":
        return [str(circuit.sites[i]) for i in np.unique(circuit.site)]
    addresses = [node.address for node in circuit]
    if per == "node":
        return addresses
    ends = [*addresses, "output"]  # the last entry is OUTPUT seen as index -1
    return [f"{ends[s]} -> {ends[t]}" for s, t in zip(circuit.source, circuit.target, strict=True)]


def without(circuit: Circuit, per: Per, part: int) -> Circuit:
    """The circuit without one part, by its index among `names`; a node or a site takes its edges along."""
    if per == "edge":
        return circuit.keep_edges(np.arange(len(circuit.weight)) != part)
    if per == "site":
        return circuit.keep(circuit.site != np.unique(circuit.site)[part])
    return circuit.keep(np.arange(len(circuit)) != part)
