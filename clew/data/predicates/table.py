"""All predicates of one text at once: which of its pieces have which property, and what each token sees of others.

Most predicates are read off a piece, of which a text has a few thousand, and not off a token, of which it has
hundreds of thousands. So what is true of each piece is worked out once, and where a token looks once for each view.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from clew.data.predicates.before import NEARBY, WINDOW, view
from clew.data.predicates.families import FAMILIES
from clew.data.predicates.place import PLACES, Column
from clew.data.predicates.predicate import PLACE, UNIT, Predicate, unit_of
from clew.data.text.tokenised import Tokenised
from clew.firings import Firings


class Table:
    """The predicates of a text."""

    def __init__(self, text: Tokenised) -> None:
        self.text = text
        self._views: dict[str, Int[np.ndarray, " token"]] = {}
        self._places: dict[str, Column] = {}

    @classmethod
    def of(cls, firings: Firings) -> Table:
        """Of the text that units fire in."""
        return cls(Tokenised.read(firings))

    def view(self, name: str) -> Int[np.ndarray, " token"]:
        """Where each token looks, or -1."""
        if name not in self._views:
            self._views[name] = view(self.text, name)
        return self._views[name]

    def place(self, name: str) -> Column:
        """The tokens that stand there."""
        if name not in self._places:
            self._places[name] = PLACES[name](self.text)
        return self._places[name]

    @cached_property
    def properties(self) -> dict[tuple[str, str], Int[np.ndarray, " piece"]]:
        """For each family and value the pieces that have it, in the order of the families."""
        found: dict[tuple[str, str], list[int]] = {}
        for name, family in FAMILIES.items():
            for i, piece in enumerate(self.text.pieces):
                for value in family.of(piece):
                    found.setdefault((name, value), []).append(i)
        return {key: np.array(pieces) for key, pieces in found.items()}

    def pieces(self, family: str, values: tuple[str, ...]) -> Bool[np.ndarray, " piece"]:
        """The pieces that have any of these values."""
        found = np.zeros(len(self.text.pieces), bool)
        for value in values:
            found[self.properties.get((family, value), np.empty(0, np.int64))] = True
        return found

    def mask(self, predicate: Predicate, firings: Firings | None = None) -> Column:
        """The tokens at which it is true.

        Raises: ValueError for a predicate about a unit without firings.
        """
        found = self._mask(predicate, firings)
        return ~found if predicate.negated else found

    def _mask(self, predicate: Predicate, firings: Firings | None) -> Column:
        if predicate.family == PLACE:
            return np.any([self.place(name) for name in predicate.values], axis=0)
        if predicate.family == UNIT:
            return np.any([self._fired(address, predicate.at, firings) for address in predicate.values], axis=0)
        flags = self.pieces(predicate.family, predicate.values)[self.text.kinds]
        return self._near(flags) if predicate.at == NEARBY else self._seen(flags, predicate.at)

    def _seen(self, flags: Column, at: str) -> Column:
        """Whether the token that is seen from each is flagged."""
        looks = self.view(at)
        return flags[looks] & (looks >= 0)

    def _near(self, flags: Column) -> Column:
        """Whether one of the tokens shortly before is flagged."""
        sums, here = np.concatenate([[0], np.cumsum(flags)]), np.arange(len(flags))
        start = np.maximum(here - WINDOW, self.text.documents[:-1][self.text.document])
        return sums[here] > sums[start]

    def _fired(self, address: str, at: str, firings: Firings | None) -> Column:
        if firings is None:
            raise ValueError(f"the predicate about {address} needs the firings of this text; give them beside it")
        found = np.zeros(len(self.text), bool)
        found[firings.row(*unit_of(address)).place] = True
        return self._seen(found, at)
