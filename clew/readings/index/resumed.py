"""Explaining that goes on where it was killed: what has been found and scored of each unit, kept beside the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from clew.data.predicates.rule import Rule
from clew.firings import Firings
from clew.labels import Label
from clew.readings.index._prints import print_of


@runtime_checkable
class Keeps(Protocol):
    """What keeps what is made of units: a LabelFile, or what a worker has of one."""

    @property
    def path(self) -> Path: ...

    def wants(self, address: str) -> bool: ...

    def made(self, part: str, address: str) -> tuple[str, list[Any] | None]: ...

    def keep(
        self, part: str, how: str, address: str, held: list[Any], labels: Sequence[Label] | None = None
    ) -> None: ...


class Resumed:
    """What was made of units by the same explainer in the same way, and what is made of them now.

    Rules are kept when they are found, and labels when they are scored: a unit of which a label, or none, was made beside the
    same units is not looked at again. Beside other units, which floors look at, it is scored anew, and the new label takes
    the place of the old one. Explanations of other kinds are found anew for labels that are not there.
    """

    def __init__(self, to: Keeps | None, firings: Firings, found: Mapping[str, Any], scored: Mapping[str, Any]) -> None:
        """Args: to: where it is kept; None keeps nothing. found, scored: all that explanations and their scores depend on."""
        self._to = to
        if to is not None:
            self._found = print_of(firings, found)
            self._scored = print_of(self._found, scored)

    def explained(self, unit: str, make: Callable[[], Sequence[Any]]) -> Sequence[Any]:
        """The explanations of a unit: those that are kept, or new ones."""
        if self._to is None:
            return make()
        part = f"explained {self._found}"
        _, held = self._to.made(part, unit)
        if held is not None:
            return [Rule.from_json(one, f"{self._to.path}: {unit}") for one in held]
        found = make()
        if all(isinstance(one, Rule) for one in found):
            self._to.keep(part, "", unit, [one.to_json() for one in found])
        return found

    def labelled(self, unit: str, make: Callable[[], tuple[Label, ...]]) -> tuple[Label, ...]:
        """The labels of a unit: those that are kept, or new ones; none of one that is there for the floors alone."""
        if self._to is None:
            return make()
        if not self._to.wants(unit):
            return ()
        part = f"labelled {self._found}"
        scored, held = self._to.made(part, unit)
        if held is not None and scored == self._scored:
            return tuple(Label.from_json(one, f"{self._to.path}: {unit}") for one in held)
        found = make()
        self._to.keep(part, self._scored, unit, [label.to_json() for label in found], labels=found)
        return found
