"""A method: attribution patching, doubled."""

from dataclasses import replace

from clew import Behaviour, Circuit, Model
from clew.methods.nodes.attribution_patching import attribution_patching


def theirs(model: Model, behaviour: Behaviour, *, factor: float = 2.0) -> Circuit:
    """Every score of attribution patching times a factor.

    Args: factor: that factor.
    """
    found = attribution_patching(model, behaviour, positions=False)
    return replace(found, score=factor * found.score)
