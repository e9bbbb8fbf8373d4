"""What a method starts from: a circuit that is given, or nothing."""

from __future__ import annotations

import inspect
from pathlib import Path

from clew.finder import load


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
