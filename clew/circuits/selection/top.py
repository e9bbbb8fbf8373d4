"""Top: the strongest, each for itself."""

from __future__ import annotations

import numpy as np

from clew.circuits.circuit import Circuit
from clew.circuits.selection._items import check_budget, pick, scores


def top(circuit: Circuit, n: int, *, signed: bool = False) -> Circuit:
    """The n edges of largest |weight|, or the n nodes of largest |score| where the circuit has no edges.

    Args: signed: largest score, so that what works against the behaviour comes last. MIB (arXiv:2504.13151) ranks so
        for CPR, and by absolute score for CMD: the two numbers are about different circuits.
    Returns: them, largest first, ties in forward order; edges with the nodes they join. Everything if there are fewer.
    Raises: ValueError for an n below 0 or scores that are nan.
    """
    check_budget(n)
    return pick(circuit, np.argsort(-scores(circuit, signed=signed), kind="stable")[:n])
