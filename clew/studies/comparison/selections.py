"""Selections as they are written on a command line: "top", "ratio:rho=0.7", "bootstrap+ratio"."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, reduce

from clew.circuits.circuit import Circuit
from clew.finder import load
from clew.studies.comparison.searches import checked, parsed


def selection(text: str) -> Callable[..., Circuit]:
    """The function (circuit, n, *, signed) -> Circuit that some of clew/circuits/selection make, one after the other.

    One step chooses n; where none does, as in "bootstrap", `top` of what is left does. Its name says so.
    Raises: ValueError naming near selections or options, or for two steps that choose n.
    """
    steps = [_step(part) for part in text.split("+")]
    if not any(counts for _, counts, _ in steps):
        steps.append(_step("top"))
    if sum(counts for _, counts, _ in steps) > 1:
        raise ValueError(f"{text!r} chooses n twice; join one of top, ratio, greedy, ilp with bootstrap and connected")

    def choose(circuit: Circuit, n: int, *, signed: bool = False) -> Circuit:
        return reduce(lambda c, step: step[0](c, n, signed=signed) if step[1] else step[0](c), steps, circuit)

    choose.__name__ = "+".join(name for _, _, name in steps)
    return choose


def _step(text: str) -> tuple[Callable[..., Circuit], bool, str]:
    """The function with its options, whether it chooses n, and what it is called."""
    name, given = parsed(text)
    function = load("circuits.selection", name)
    parameters = inspect.signature(function).parameters
    known = [option for option in parameters if option not in ("circuit", "n", "signed")]
    options = checked(function, given, known)
    said = ":".join([name, *(f"{option}={value}" for option, value in options.items())])
    return partial(function, **options), "n" in parameters, said
