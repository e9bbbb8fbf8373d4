"""What a search ranks, as its signature says, so that searches are told apart before any of them is run.

`-> Circuit` is a circuit of the view's own units, whatever they are; `-> EdgesOfComponents` and the others below say that
it is of one kind of unit, however the model is seen. For a type checker all of them are circuits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

from clew.circuits.circuit import Circuit

EDGES = "edges"
NODES = ("components", "heads", "neurons", "features")
UNITS = (EDGES, *NODES)


@dataclass(frozen=True)
class Of:
    """The units that a search can rank."""

    units: tuple[str, ...]


EdgesOfComponents = Annotated[Circuit, Of((EDGES,))]
OnlyComponents = Annotated[Circuit, Of(("components",))]
OnlyHeads = Annotated[Circuit, Of(("heads",))]
EdgesOrUnits = Annotated[Circuit, Of(UNITS)]
"""As an option of the search says."""


def ranked(search: Callable[..., Any]) -> tuple[str, ...]:
    """The units that a search ranks: those of its annotation, else every kind of node."""
    said = get_type_hints(search, include_extras=True).get("return")
    return next((of.units for of in getattr(said, "__metadata__", ()) if isinstance(of, Of)), NODES)
