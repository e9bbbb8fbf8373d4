"""A measure of a circuit: how many nodes it has."""

from clew import Behaviour, Circuit, Model, Report
from clew.report import Row


def theirs(model: Model, behaviour: Behaviour, circuit: Circuit, *, each: int = 1) -> Report:
    """The number of nodes.

    Args: each: what a node counts.
    """
    value = float(each * len(circuit))
    return Report("theirs", (Row("nodes", value, value, value),))
