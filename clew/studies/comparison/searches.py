"""Searches as they are written on a command line, and which units each of them ranks."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from clew.circuits.circuit import Circuit
from clew.circuits.ranked import EDGES, ranked
from clew.data.behaviours.behaviour import Behaviour
from clew.finder import load
from clew.near import near
from clew.signatures import options_of
from clew.values import folded, options


@dataclass(frozen=True)
class Search:
    """A method and its options, as `eap_ig_inputs:steps=10:start=clean` writes them."""

    text: str
    method: Callable[..., Circuit]
    given: Mapping[str, Any]

    @classmethod
    def named(cls, text: str) -> Search:
        """Raises: ValueError naming near methods or options, or for a method that starts from something else."""
        name, given = parsed(text)
        method = load("methods", name)
        parameters = inspect.signature(method).parameters.values()
        second = list(get_type_hints(method).values())[1]
        wanted = [p.name for p in parameters if p.default is p.empty][2:]
        if second is not Behaviour or wanted:
            what = ", ".join(wanted) or second.__name__
            raise ValueError(
                f"{name} needs more than a model and a behaviour ({what}), so it cannot be run beside others"
            )
        return cls(text, method, checked(method, given, list(options(method))))

    def fits(self, unit: str) -> bool:
        return unit in ranked(self.method)

    def options(self, unit: str, seed: int) -> dict[str, Any]:
        """Every option: those given, those that make searches rank the same things, the defaults of the rest."""
        defaults = options_of(self.method)
        alike = {"positions": False, "seed": seed, "over": EDGES if unit == EDGES else "nodes", "unit": unit}
        return {**defaults, **{n: v for n, v in alike.items() if n in defaults}, **self.given}


def parsed(text: str) -> tuple[str, dict[str, Any]]:
    """The name and options of "name:option=value:option=value"; values are JSON where they can be, else text.

    Raises: ValueError for an option without a value.
    """
    name, *parts = text.split(":")
    if wrong := [part for part in parts if not part.partition("=")[2]]:
        raise ValueError(
            f"{text!r}: {wrong[0]!r} is no option; write name:option=value, such as eap_ig_inputs:steps=10"
        )
    return name.replace("-", "_"), {part.partition("=")[0]: _value(part.partition("=")[2]) for part in parts}


def checked(function: Callable[..., Any], given: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """The options as the function's signature types them, fields as the values they belong to.

    Raises: ValueError for one that is not among the `known`.
    """
    if unknown := [option for option in given if option not in known]:
        instead = near(unknown[0], known) if known else "it has none"
        raise ValueError(f"{function.__name__} has no option {unknown[0]!r}; {instead}")
    hints = get_type_hints(function) | {name: option.hint for name, option in options(function).items()}
    typed = {n: float(v) if type(v) is int and hints[n] is float else v for n, v in given.items()}
    return folded(function, typed)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
