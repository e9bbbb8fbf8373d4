"""What a method starts from: a circuit that is given, a text, facts, or a behaviour alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clew.finder import load

STARTS = {"Windows": "a text", "Facts": "facts"}
"""What methods are given beside the model, in words."""


def check_start(by: str, given: Path | str | None, named: str) -> None:
    """Raises: ValueError where a method does not start from a circuit and one is given, or cannot do without one.

    Args:
        given: the path of a circuit.
        named: how one is given here, as `--circuit` or `args.circuit`.
    """
    parameter = inspect.signature(load("methods", by)).parameters.get("circuit")
    if given is not None and parameter is None:
        raise ValueError(f"the method {by} starts from nothing; leave {named} {given} out")
    if given is None and parameter is not None and parameter.default is parameter.empty:
        raise ValueError(f"the method {by} starts from a circuit; find one first, then give its path as {named}")


def cannot_start(method: Callable[..., Any]) -> str | None:
    """Why a method cannot do with a model and a behaviour alone; None for one that can."""
    parameters = inspect.signature(method).parameters
    needed = [p for p in parameters.values() if p.default is p.empty]
    if any(p.name == "circuit" for p in needed):
        return "starts from a circuit"
    asked = needed[1].annotation if len(needed) > 1 else ""
    if "Behaviour" not in str(asked):
        return f"starts from {STARTS.get(str(asked), str(asked))}"
    options = [p.name for p in needed if p.kind is p.KEYWORD_ONLY]
    return f"must be told {' and '.join(options)}" if options else None
