"""The documents that explanations are not made from, cut into windows, and what a unit does there: what scorers score on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.data.predicates.predicate import unit_of
from clew.data.predicates.table import Table
from clew.data.text.tokenised import Tokenised
from clew.firings import Fired, Firings
from clew.models import Model
from clew.report import Row
from clew.sites import Site

SHARES = (3, 1, 1)
"""Of the documents: what explanations are found on, what they are chosen on, and what they are scored on."""
UNSEEN = 2
WINDOW = 32
"""Tokens of a window."""
SHORTEST = 8
"""Of one at the end of a document."""
ALL, WINDOWS, OF_UNIT = "all", "windows", "unit"
"""Of what a score is: of all that is held out, or of windows of which the unit fires in half, with which floors are compared;
or of the unit, whatever is said of it."""
NEAREST = 5
"""Units that fire at the same places, whose windows are hard to tell from the unit's own."""


@runtime_checkable
class Explanation(Protocol):
    """What says how strongly a unit fires at each token of a text, on one of its sides."""

    @property
    def side(self) -> int: ...

    def __call__(self, table: Table, firings: Firings | None = None, /) -> Float[np.ndarray, " token"]: ...


@dataclass(frozen=True, eq=False)
class Case:
    """An explanation of a unit, and the text on which it is scored."""

    explanation: Explanation
    unseen: Unseen
    unit: str
    """Its address."""


Explain = Callable[["Unseen", str, int], Explanation]
"""Explains one side of one unit of other firings, as this one was explained."""


class Unseen:
    """The text that is held out, and what units do in it."""

    def __init__(self, firings: Firings, table: Table | None = None, model: Model | None = None) -> None:
        """Args: table: of the text of the firings, if it is at hand. model: whose units these are."""
        self.firings, self.table = firings, Table.of(firings) if table is None else table
        self.model = model
        text = self.table.text
        self.part = text.parts(*SHARES)
        self.held_out = (self.part == UNSEEN)[text.document] if len(text) else np.zeros(0, bool)
        self.rows = np.flatnonzero(self.held_out)
        self._said: tuple[Explanation, Float[np.ndarray, " token"]] | None = None

    @cached_property
    def starts(self) -> Int[np.ndarray, " window"]:
        """Where each window begins."""
        return starts_of(self.table.text, self.part == UNSEEN)

    @cached_property
    def window(self) -> Int[np.ndarray, " token"]:
        """The window of each token, or -1."""
        return window_of(self.table.text, self.starts)

    def tokens(self, window: int) -> Int[np.ndarray, " inside"]:
        """Those of a window."""
        near = np.arange(self.starts[window], min(self.starts[window] + WINDOW, len(self.window)))
        return near[self.window[near] == window]

    def values(self, address: str, side: int) -> Float[np.ndarray, " token"]:
        """What a unit does on one side at every token, 0 where it is silent there.

        Raises: ValueError where not all of its firings are kept.
        """
        row, found = self.firings.whole(*unit_of(address)), np.zeros(len(self.table.text))
        found[row.place] = np.maximum(side * row.value, 0)
        return found

    def moved(self, address: str, row: Fired) -> Unseen:
        """The same text, in which one unit fires elsewhere."""
        other = copy(self)
        other.firings, other._said = _Moved(self.firings, *unit_of(address), row), None
        return other

    def seen(self, model: Model) -> Unseen:
        """The same text, with units of another view of the model."""
        other = copy(self)
        other.model = model
        return other

    def predicted(self, explanation: Explanation) -> Float[np.ndarray, " token"]:
        """What an explanation says of every token."""
        if self._said is None or self._said[0] is not explanation:
            self._said = explanation, explanation(self.table, self.firings)
        return self._said[1]

    def most(self, values: Float[np.ndarray, " token"]) -> Float[np.ndarray, " window"]:
        """The largest value in each window."""
        found, inside = np.zeros(len(self.starts)), self.window >= 0
        np.maximum.at(found, self.window[inside & (values != 0)], values[inside & (values != 0)])
        return found

    def document_of(self, windows: Int[np.ndarray, " window"]) -> Int[np.ndarray, " window"]:
        """The whole document that each window stands in."""
        return self.table.text.group[self.starts[windows]]

    def hard(self, address: str, values: Float[np.ndarray, " token"]) -> Bool[np.ndarray, " window"]:
        """Windows with a token on which the unit fires elsewhere, or where one of the nearest units fires."""
        kinds, (site, _) = self.table.text.kinds, unit_of(address)
        fires = np.bincount(kinds, values > 0, minlength=len(self.table.text.pieces))
        alike = np.isin(kinds, np.argsort(-fires, kind="stable")[:NEAREST]) & (fires[kinds] > 0)
        for other, _ in _near(self.firings, address)[:NEAREST]:
            alike[self.firings.row(site, other).place] = True
        return self.most(alike.astype(float)) > 0


def starts_of(text: Tokenised, documents: Bool[np.ndarray, " document"]) -> Int[np.ndarray, " window"]:
    """Where the windows of some documents begin; what is left of a document is one if it is long enough."""
    bounds = text.documents
    chosen = [(a, b) for a, b, some in zip(bounds, bounds[1:], documents, strict=False) if some]
    starts = [np.arange(a, max(a, b - SHORTEST + 1), WINDOW) for a, b in chosen]
    return np.concatenate([np.empty(0, np.int64), *starts])


def window_of(text: Tokenised, starts: Int[np.ndarray, " window"]) -> Int[np.ndarray, " token"]:
    """The window of each token of a text, or -1."""
    found, document = np.full(len(text), -1), text.document
    for lag in range(WINDOW):
        tokens = starts + lag
        ok = tokens < len(found)
        ok[ok] = document[tokens[ok]] == document[starts[ok]]
        found[tokens[ok]] = np.flatnonzero(ok)
    return found


def scored(case: Case, scorers: Iterable[Callable[..., tuple[Row, ...]]]) -> tuple[Row, ...]:
    """All rows that scorers give a case."""
    return tuple(row for scorer in scorers for row in scorer(case.explanation, case.unseen, case.unit))


def compared(rows: Sequence[Row], floor: Sequence[Row], name: str) -> tuple[Row, ...]:
    """The rows of a floor, and how far above them those of the explanation are, where both are of ALL or both of WINDOWS.

    The interval is that of a difference of two independent numbers by those of each (MOVER, Zou & Donner 2008).
    """
    under = {(row.measure, row.of): row for row in floor if row.of in (ALL, WINDOWS)}
    pairs = [(row, under[row.measure, row.of]) for row in rows if (row.measure, row.of) in under]
    return tuple(made for row, below in pairs for made in (replace(below, of=name), _above(row, below, name)))


def _above(row: Row, floor: Row, name: str) -> Row:
    apart = row.value - floor.value
    low = apart - float(np.hypot(row.value - row.low, floor.high - floor.value))
    high = apart + float(np.hypot(row.high - row.value, floor.value - floor.low))
    return replace(row, value=apart, low=low, high=high, of=f"above {name}")


class _Moved:
    """Firings of which one row is another."""

    def __init__(self, firings: Firings, site: Site, unit: int, row: Fired) -> None:
        self._firings, self._where, self._row = firings, (site, unit), row

    @property
    def sites(self) -> Sequence[Site]:
        return self._firings.sites

    @property
    def tokens(self) -> Int[np.ndarray, " token"]:
        return self._firings.tokens

    @property
    def documents(self) -> Int[np.ndarray, " bound"]:
        return self._firings.documents

    @property
    def windows(self) -> Int[np.ndarray, " bound"]:
        return self._firings.windows

    @property
    def words(self) -> Mapping[int, str]:
        return self._firings.words

    def units(self, site: Site) -> int:
        return self._firings.units(site)

    def row(self, site: Site, unit: int) -> Any:
        return self._row if (site, unit) == self._where else self._firings.row(site, unit)

    def whole(self, site: Site, unit: int) -> Any:
        return self._row if (site, unit) == self._where else self._firings.whole(site, unit)

    def at(self, site: Site, place: int) -> Any:
        return self._firings.at(site, place)

    def nearest(self, site: Site, unit: int, by: str = "cofiring") -> Any:
        """None are near, wherever it was moved to."""
        return [] if (site, unit) == self._where else self._firings.nearest(site, unit, by)


def _near(firings: Firings, address: str) -> list[tuple[int, float]]:
    """The nearest units, where that was worked out."""
    try:
        return list(firings.nearest(*unit_of(address), by="cofiring"))
    except ValueError:
        return []
