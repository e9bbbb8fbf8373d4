"""A predicate: something that is true or false at each token of a text, said in words and kept as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clew.data.predicates.before import BEFORE, ECHO, EVERYWHERE, HERE, NEARBY, NEXT, WINDOW
from clew.data.predicates.families import FAMILIES
from clew.data.predicates.place import PLACES
from clew.files import check_whole, entries, entry
from clew.near import near
from clew.sites import Site

PLACE, UNIT = "place", "unit"
KINDS = (*FAMILIES, PLACE, UNIT)
NUMBERS = {1: "one token", 2: "two tokens", 3: "three tokens"}
NAMES = ("family", "values", "at", "negated")


@dataclass(frozen=True)
class Predicate:
    """That the token seen from here is one of some values of a family.

    >>> str(Predicate("suffix", ("ing",), at="1 before"))
    'after words that end in -ing'
    """

    family: str
    """word, suffix, class, ...; place, for where a token stands; unit, for where another unit fires."""
    values: tuple[str, ...]
    """Any of them; of units addresses such as resid.7/12."""
    at: str = HERE
    """Which token is looked at: here, 1 before, 2 before, 3 before, nearby, after its last occurrence, next."""
    negated: bool = False

    def __str__(self) -> str:
        if self.family == PLACE:
            return f"{'not ' * self.negated}{_any(self.values)}"
        if self.family == UNIT:
            return _fired(self)
        noun = FAMILIES[self.family].said(self.values)
        if self.at == HERE:
            return f"other than {noun}" if self.negated else noun
        return f"{'not ' * self.negated}{_seen(self.at, noun)}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"family": self.family, "values": list(self.values), "at": self.at, "negated": self.negated}

    @classmethod
    def from_json(cls, value: Any, origin: str = "this JSON") -> Predicate:
        """Build from what `to_json` gave. Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, NAMES, origin)
        family = entry(value, "family", str, origin=origin, among=KINDS)
        values = tuple(entries(value, "values", str, origin=origin))
        if not values:
            raise ValueError(f"{origin} has no values; name at least one {family}")
        for one in values:
            _check(family, one, origin)
        at = entry(value, "at", str, origin=origin, among=EVERYWHERE)
        if (family == PLACE and at != HERE) or (family == UNIT and at not in (HERE, *BEFORE)):
            raise ValueError(f"{origin} is a {family} looked at {at!r}; that is looked at {HERE!r}")
        return cls(family, values, at, entry(value, "negated", bool, origin=origin))


def _check(family: str, value: str, origin: str) -> None:
    """Raises: ValueError for a place that is not known, and for what is no address of a unit."""
    if family == PLACE and value not in PLACES:
        raise ValueError(f"{origin} names the place {value!r}; {near(value, PLACES)}")
    if family == UNIT:
        unit_of(value, origin)


def unit_of(address: str, origin: str = "") -> tuple[Site, int]:
    """Site and number of `resid.7/12`. Raises: ValueError for what is no such address."""
    site, _, number = address.partition("/")
    if not number.isascii() or not number.isdigit():
        raise ValueError(f"{origin and f'{origin}: '}{address!r} is no unit; one reads resid.7/12")
    return Site.parse(site), int(number)


def _any(said: Sequence[str]) -> str:
    """
    >>> _any(("a", "b", "c"))
    'a, b or c'
    """
    return " or ".join(filter(None, [", ".join(said[:-1]), said[-1]]))


def _seen(at: str, noun: str) -> str:
    if at == NEARBY:
        return f"within {WINDOW} tokens after {noun}"
    if at == ECHO:
        return f"that were followed by {noun} when last met"
    if at == NEXT:
        return f"before {noun}"
    return f"after {noun}" if BEFORE[at] == 1 else f"{NUMBERS[BEFORE[at]]} on from {noun}"


def _fired(p: Predicate) -> str:
    fires = (
        ("did not fire" if p.negated else "fired") if p.at in BEFORE else ("does not fire" if p.negated else "fires")
    )
    when = f" {NUMBERS[BEFORE[p.at]]} earlier" if p.at in BEFORE else ""
    return f"where {_any(p.values)} {fires}{when}"
