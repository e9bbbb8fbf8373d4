"""The search that found a circuit, to be run again on other prompts, with another seed, or in another model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clew.circuits.circuit import OUTPUT, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.finder import load
from clew.models import Model
from clew.values import restored


@dataclass(frozen=True)
class Rerun:
    """A method with its options. Called with a model and prompts, it returns all that the method scores there."""

    method: Callable[..., Circuit]
    options: Mapping[str, Any]
    circuit: Circuit
    """What it found: candidates for a method that scores given nodes, and how many to wire."""
    wiring: Mapping[str, Any] | None = None
    """The record of the method that wired the circuit, if one did."""

    @classmethod
    def of(cls, circuit: Circuit, method: str | Callable[..., Circuit] | None = None) -> Rerun:
        """The search that a circuit's provenance tells of, or a method, by name or itself, with its defaults.

        Raises: ValueError where the record does not say enough; give the method then.
        """
        if method is not None:
            return cls(load("methods", method) if isinstance(method, str) else method, {}, circuit)
        made = circuit.provenance
        if "method" not in made:
            raise ValueError(
                "this circuit does not say which method found it, so it cannot be searched again; find it by "
                "clew.find, or give search= a method"
            )
        return cls(*_recorded(made), circuit, made.get("wired") or None)

    def takes(self, option: str) -> bool:
        """Whether the method has such an option."""
        return option in inspect.signature(self.method).parameters

    def __call__(self, model: Model, behaviour: Behaviour, **changed: Any) -> Circuit:
        """Search again. Scores of all nodes; edges where the circuit was wired, between as many nodes as it has."""
        candidates = (self.circuit,) if "nodes_of" in self.circuit.provenance and self.takes("circuit") else ()
        options = {**self.options, **changed}
        found = self.method(model, behaviour, *candidates, **options)
        made = {k: v for k, v in self.circuit.provenance.items() if k != "wired"}
        found = replace(found, provenance={**made, "options": {**made.get("options", {}), **changed}})
        if self.wiring is None:
            return found
        method, wired = _recorded(self.wiring)
        edges = method(model, behaviour, found.top(len(self.circuit)), **wired)
        return _with_edges(found, edges)


def _recorded(made: Mapping[str, Any]) -> tuple[Callable[..., Circuit], dict[str, Any]]:
    """A method and the options it was called with; those left at their defaults are left out.

    Raises: ValueError for a method that is not a file of methods, or an option that JSON could not hold.
    """
    try:
        method = load("methods", made["method"])
    except ValueError as error:
        raise ValueError(f"the method that found this circuit cannot be loaded: {error}. Give search= it") from error
    defaults = {n: p.default for n, p in inspect.signature(method).parameters.items()}
    recorded = restored(method, made.get("options", {}))
    options = {n: v for n, v in recorded.items() if v != defaults.get(n) and v != repr(defaults.get(n))}
    for name, value in options.items():
        if isinstance(value, str) and value.startswith("<"):
            raise ValueError(
                f"{made['method']} was called with {name}={value}, which its record cannot give back; give search= "
                f"functools.partial(the method, {name}=...)"
            )
    return method, options


def _with_edges(all_nodes: Circuit, wired: Circuit) -> Circuit:
    """All scored nodes, with the edges that were drawn between some of them."""
    place = {key: i for i, key in enumerate(all_nodes.keys())}
    wired_keys = wired.keys()
    new = np.array([*(place[key] for key in wired_keys), OUTPUT], np.int64)  # the last is OUTPUT seen as index -1
    edges = {"weight": wired.weight, "weight_error": wired.weight_error}
    return replace(all_nodes, source=new[wired.source], target=new[wired.target], **edges)
