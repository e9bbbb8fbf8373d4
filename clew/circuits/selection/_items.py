"""What a selection selects: the edges of a circuit that has edges, else its nodes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from clew.circuits.circuit import Circuit


def scores(circuit: Circuit, *, signed: bool) -> Float[np.ndarray, " item"]:
    """Weights of the edges, or scores of the nodes where there are no edges; absolute ones unless `signed`.

    Raises: ValueError for scores that are not numbers.
    """
    found = circuit.weight if len(circuit.weight) else circuit.score
    if np.isnan(found).any():
        raise ValueError(
            f"{np.isnan(found).sum()} of {len(found)} {kind(circuit)} have no score (nan), so they cannot be ranked; "
            "leave them out with circuit.keep or circuit.keep_edges"
        )
    return (found if signed else np.abs(found)).astype(np.float64)


def errors(circuit: Circuit) -> Float[np.ndarray, " item"]:
    """The standard errors of the same items."""
    return circuit.weight_error if len(circuit.weight) else circuit.score_error


def kind(circuit: Circuit) -> str:
    """What the items are, in a word."""
    return "edges" if len(circuit.weight) else "nodes"


def pick(circuit: Circuit, chosen: Int[np.ndarray, " chosen"]) -> Circuit:
    """The circuit of the chosen items, in their order; of edges, with the nodes that they join and no others."""
    if not len(circuit.weight):
        return circuit.keep(chosen)
    return circuit.keep_edges(chosen).wired()


def check_budget(n: int) -> None:
    """Raises: ValueError for an n below 0."""
    if n < 0:
        raise ValueError(f"n is how many edges or nodes to keep, 0 or more, not {n}")


def check_wired(circuit: Circuit) -> None:
    """Raises: ValueError for a circuit without edges."""
    if not len(circuit.weight):
        raise ValueError(
            "this selection follows edges to the metric, and the circuit has none; wire it with clew.methods.edges.edges, or "
            "choose its nodes with top, ratio or bootstrap"
        )
