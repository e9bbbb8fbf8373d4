"""An edit: a site of the model scaled."""

import clew
from clew import Model
from clew.stack import Stack


def theirs(model: Model, evidence: object = None, *, at: str = "resid.0", factor: float = 0.5) -> Stack:
    """The stream, smaller.

    Args: at: where. factor: by how much.
    """
    return Stack((clew.Scale(at, factor=factor),), "smaller")
