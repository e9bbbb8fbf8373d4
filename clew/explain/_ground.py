"""What a search for rules needs of a text once, for all units: how often every predicate holds, and fast sums over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.nn.functional import embedding_bag

from clew.data.predicates.before import NEARBY, VIEWS, WINDOW, reach
from clew.data.predicates.place import PLACES, Column
from clew.data.predicates.predicate import PLACE, Predicate
from clew.data.predicates.table import Table
from clew.readings.unseen import SHARES

TRAIN, CHECK = 0, 1
"""Parts of the documents: rules are sought on the first and chosen on the second."""
SEEN = (*VIEWS, NEARBY)
RAREST = 8
"""A property that fewer tokens have is not sought."""


@dataclass(frozen=True, eq=False)
class Properties:
    """Properties of pieces that are common enough to be sought, those that hold of the same pieces once."""

    names: tuple[tuple[str, str], ...]
    """Family and value."""
    members: Int[torch.Tensor, " member"]
    """The pieces of all properties, one after the other."""
    starts: Int[torch.Tensor, " property"]
    """Where each property's begin."""

    @classmethod
    def of(cls, table: Table, counts: Float[np.ndarray, " piece"]) -> Properties:
        """Args: counts: how often each piece stands in the text."""
        kept, met = dict[tuple[str, str], np.ndarray](), set[bytes]()
        for name, pieces in table.properties.items():
            there = pieces[counts[pieces] > 0]
            if counts[there].sum() >= RAREST and (mark := there.tobytes()) not in met:
                met.add(mark)
                kept[name] = there
        members = np.concatenate([np.empty(0, np.int64), *kept.values()])
        starts = np.cumsum([0, *map(len, kept.values())])[:-1]
        return cls(tuple(kept), torch.from_numpy(members), torch.from_numpy(starts))

    def sums(self, weights: Float[np.ndarray, "piece sum"]) -> Float[np.ndarray, "property sum"]:
        """For each property the sum of its pieces' weights."""
        if not self.names:
            return np.zeros((0, weights.shape[1]))
        found = embedding_bag(self.members, torch.from_numpy(weights.astype(np.float32)), self.starts, mode="sum")
        return found.numpy().astype(np.float64)


class Ground:
    """A text with its parts and the totals of its predicates on the part that is learnt from."""

    def __init__(self, table: Table) -> None:
        self.table, self.text = table, table.text
        self.part = self.text.parts(*SHARES)[self.text.document] if len(self.text) else np.zeros(0, np.int64)
        self.rows = np.flatnonzero(self.part == TRAIN)
        self.n_pieces = len(self.text.pieces)
        self._reach = reach(self.text)
        counts = np.bincount(self.text.kinds[self.rows], minlength=self.n_pieces).astype(float)
        self.properties = Properties.of(table, counts)
        self.words = np.array([name[0] in ("word", "token") for name in self.properties.names])
        self.places = {name: table.place(name) for name in PLACES}

    def seen(
        self, view: str, rows: Int[np.ndarray, " row"], weights: Float[np.ndarray, " row"]
    ) -> Float[np.ndarray, " piece"]:
        """For each piece the sum of the weights of those rows that see it."""
        if view == NEARBY:
            return sum((self._behind(rows, weights, lag) for lag in range(1, WINDOW + 1)), np.zeros(self.n_pieces))
        looks = self.table.view(view)[rows]
        ok = looks >= 0
        return self._counted(looks[ok], weights[ok])

    def _behind(
        self, rows: Int[np.ndarray, " row"], weights: Float[np.ndarray, " row"], lag: int
    ) -> Float[np.ndarray, " piece"]:
        """The pieces so many tokens before, where these are the last of their kind until the row."""
        looks = rows - lag
        ok = looks >= 0
        ok[ok] = self._reach[looks[ok]] >= lag
        return self._counted(looks[ok], weights[ok])

    def _counted(
        self, places: Int[np.ndarray, " place"], weights: Float[np.ndarray, " place"]
    ) -> Float[np.ndarray, " piece"]:
        """For each piece the sum of the weights at its places; of none, numpy counts whole numbers."""
        return np.bincount(self.text.kinds[places], weights, minlength=self.n_pieces).astype(np.float64)

    def mask(self, predicates: Iterable[Predicate], columns: dict[Predicate, Column]) -> Column:
        """The tokens at which all predicates hold.

        Args: columns: what was worked out before, and what about units only their firings tell; added to.
        """
        found = np.ones(len(self.text), bool)
        for predicate in predicates:
            plain = replace(predicate, negated=False)
            if plain not in columns:
                columns[plain] = self.table.mask(plain)
            found &= ~columns[plain] if predicate.negated else columns[plain]
        return found


@lru_cache(maxsize=1)
def ground_of(table: Table) -> Ground:
    """The ground of a text, kept while the same text is asked for."""
    return Ground(table)


def place(name: str, negated: bool = False) -> Predicate:
    """The predicate of a place."""
    return Predicate(PLACE, (name,), negated=negated)
