"""A selection: the first nodes, whatever their scores."""

import numpy as np

from clew import Circuit


def theirs(circuit: Circuit, n: int, *, signed: bool = False) -> Circuit:
    """The first n."""
    return circuit.keep(np.arange(len(circuit)) < n)
