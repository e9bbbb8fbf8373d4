"""What is said of options that do not fit. Each gives back what it was given."""

from __future__ import annotations

import math


def check_units(units: int) -> int:
    if units < 1:
        raise ValueError(f"units is {units}; a dictionary needs at least one")
    return units


def check_k(k: int, units: int, called: str = "units") -> int:
    """`k` of so many units; the number of units is looked at first."""
    if not 1 <= k <= check_units(units):
        raise ValueError(f"k is {k}; it must lie between 1 and the number of {called}, {units}")
    return k


def check_weight(name: str, given: float) -> float:
    """A weight in the loss: a number of at least 0."""
    if not 0 <= given < math.inf:
        raise ValueError(f"{name} is {given}; it must be a number of at least 0")
    return given


def check_warm_up(warm_up: float) -> float:
    """The share of the steps over which a penalty grows to its weight."""
    if not 0 <= warm_up <= 1:
        raise ValueError(f"warm_up is {warm_up}; it is a share of the steps, from 0 to 1")
    return warm_up
