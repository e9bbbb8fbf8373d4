"""A rule: an explanation of a unit that can be executed, as a short list of clauses of predicates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from clew.data.predicates.before import HERE
from clew.data.predicates.predicate import PLACE, UNIT, Predicate
from clew.data.predicates.table import Table
from clew.files import check_whole, entries, entry, read_json, whole, write_json
from clew.firings import Firings

FORMAT, VERSION = "clew rule", 1
NOTHING = "no rule found"


@dataclass(frozen=True)
class Clause:
    """Where all of some predicates are true, a unit fires with about this strength."""

    predicates: tuple[Predicate, ...]
    strength: int | float
    """The mean of |value| there, silence counted as 0; above 0."""

    def mask(self, table: Table, firings: Firings | None = None) -> Bool[np.ndarray, " token"]:
        """The tokens at which it holds."""
        found = np.ones(len(table.text), bool)
        for predicate in self.predicates:
            found &= table.mask(predicate, firings)
        return found

    def __str__(self) -> str:
        here = [p for p in self.predicates if p.at == HERE and p.family not in (PLACE, UNIT)]
        nouns, others = [str(p) for p in here if not p.negated], [str(p) for p in here if p.negated]
        rest = [str(p) for p in self.predicates if p not in here]
        return " ".join([" that are also ".join(nouns) or "tokens", *others, _joined(rest)]).strip()


def _joined(phrases: list[str]) -> str:
    """Phrases in a row, those of one beginning joined: "after 'the', inside brackets"."""
    return ", ".join(phrases)


@dataclass(frozen=True)
class Rule:
    """Clauses in order; at each token the first that holds says how strongly the unit fires.

    >>> from clew.data.text.tokenised import Tokenised
    >>> rule = Rule((Clause((Predicate("word", ("is", "are")),), 1.5),))
    >>> str(rule), rule(Table(Tokenised.of([["It", " is", " so"]]))).tolist()
    ("'is' or 'are'", [0.0, 1.5, 0.0])
    """

    clauses: tuple[Clause, ...]
    """None: no rule was found."""
    side: int = 1
    """1 or -1: which of a unit's two signs is meant."""
    partial: bool = False
    """The unit also fires often where the rule does not hold, or the rule holds where it is silent."""

    def __bool__(self) -> bool:
        """Whether a rule was found."""
        return bool(self.clauses)

    def __call__(self, table: Table, firings: Firings | None = None) -> Float[np.ndarray, " token"]:
        """How strongly the unit fires at each token of a text, by the rule; 0 where no clause holds.

        Args: firings: of the same text, for predicates about other units.
        Raises: ValueError for such a predicate without firings.
        """
        found = np.zeros(len(table.text))
        for clause in reversed(self.clauses):
            found[clause.mask(table, firings)] = clause.strength
        return found

    def __str__(self) -> str:
        if not self.clauses:
            return NOTHING
        said = "; ".join(_grouped(self.clauses))
        return f"{'in part: ' * self.partial}{said}{' (its negative side)' * (self.side < 0)}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        clauses = [{"predicates": [p.to_json() for p in c.predicates], "strength": c.strength} for c in self.clauses]
        return {
            "format": FORMAT,
            "version": VERSION,
            "clauses": clauses,
            "side": self.side,
            "partial": self.partial,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], origin: str = "this JSON") -> Rule:
        """Build from what `to_json` gave. Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, ("format", "version", "clauses", "side", "partial"), origin)
        entry(value, "format", str, origin=origin, among=(FORMAT,))
        entry(value, "version", int, origin=origin, among=(VERSION,))
        listed = enumerate(entries(value, "clauses", dict, origin=origin))
        clauses = tuple(_clause(held, f"{origin}: clauses[{i}]") for i, held in listed)
        side = entry(value, "side", int, origin=origin, among=(1, -1))
        return cls(clauses, side, entry(value, "partial", bool, origin=origin))

    def save(self, path: str | Path) -> Path:
        """Write one JSON file."""
        return write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Rule:
        """Read what `save` wrote. Raises: ValueError naming the file and what is wrong with it."""
        with whole(path, "rule"):
            return cls.from_json(read_json(path, FORMAT), str(path))


def _clause(held: Mapping[str, Any], origin: str) -> Clause:
    check_whole(held, ("predicates", "strength"), origin)
    listed = enumerate(entries(held, "predicates", dict, origin=origin))
    predicates = tuple(Predicate.from_json(one, f"{origin}.predicates[{i}]") for i, one in listed)
    return Clause(predicates, float(entry(held, "strength", float, origin=origin, at_least=0)))


def _grouped(clauses: tuple[Clause, ...]) -> list[str]:
    """What is said of each clause; a clause that only narrows a later one is said with it."""
    said: list[str] = []
    narrowed = [_wider(clause, clauses[i + 1 :]) for i, clause in enumerate(clauses)]
    for wide, clause in enumerate(clauses):
        if narrowed[wide] is not None:
            continue
        more = [
            str(Clause(tuple(p for p in c.predicates if p not in clause.predicates), 0)).removeprefix("tokens ")
            for i, c in enumerate(clauses)
            if narrowed[i] is clause
        ]
        said.append(f"{clause}{f', above all {more[0]}' if more else ''}")
    return said


def _wider(clause: Clause, later: tuple[Clause, ...]) -> Clause | None:
    """The first later clause whose predicates are all among this one's."""
    mine = set(clause.predicates)
    return next((other for other in later if set(other.predicates) < mine), None)
