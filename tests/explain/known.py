"""A small text with units whose meaning is known, for the tests of explanations."""

from functools import cache

from clew.data.planted.meanings import Meanings, meanings
from clew.readings.unseen import Unseen


@cache
def known() -> Meanings:
    """A fifth of the full suite's text; and units by chance."""
    return meanings(15_000, chance=6, seed=3)


@cache
def unseen() -> Unseen:
    return Unseen(known().firings, known().table)


def unit(said: str) -> str:
    """The address of the unit whose meaning is said so."""
    return next(known().address(i) for i, m in enumerate(known().truth) if str(m.rule) == said)


def truth(address: str):
    return known().truth[int(address.split("/")[1])].rule
