"""Where units fire in a text: what explanations and their scorers read, whoever keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from clew.sites import Site


@runtime_checkable
class Firings(Protocol):
    """A text's tokens and, for each unit of some sites, where it fires and how strongly; a value may be below 0."""

    @property
    def sites(self) -> Sequence[Site]: ...

    @property
    def tokens(self) -> Int[np.ndarray, " token"]: ...

    @property
    def documents(self) -> Int[np.ndarray, " bound"]:
        """Where each document starts, and the end of the last; a document is one window or several."""
        ...

    @property
    def windows(self) -> Int[np.ndarray, " bound"]:
        """Where each run of tokens starts that the model saw at once, and the end of the last."""
        ...

    @property
    def words(self) -> Mapping[int, str]:
        """What each token id stands for, with the blank before it."""
        ...

    def units(self, site: Site) -> int: ...

    def row(self, site: Site, unit: int) -> Any:
        """A unit's `place` and `value`, the largest |value| first; the largest alone where not all are kept."""
        ...

    def whole(self, site: Site, unit: int) -> Any:
        """The row of all firings, so that the unit is silent elsewhere. Raises: ValueError where a part alone is kept."""
        ...

    def at(self, site: Site, place: int) -> Any:
        """The `unit` and `value` of all that fire at a token."""
        ...

    def nearest(self, site: Site, unit: int, by: str = "cofiring") -> Any:
        """(unit, how near) of others that fire at the same places, the nearest first."""
        ...


@dataclass(frozen=True, eq=False)
class Fired:
    """Where one unit fires, the largest |value| first."""

    place: Int[np.ndarray, " firing"]
    """Which token of the text."""
    value: Float[np.ndarray, " firing"]

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True, eq=False)
class Here:
    """What fires at one token."""

    unit: Int[np.ndarray, " firing"]
    value: Float[np.ndarray, " firing"]


class Held:
    """Firings in memory, each document one window.

    >>> words = {0: "a", 1: " b"}
    >>> held = Held(np.array([0, 1]), [0, 2], words, {"resid.1": [Fired(np.array([1]), np.array([1.5]))]})
    >>> held.row(Site("resid", 1), 0).place
    array([1])
    """

    def __init__(
        self,
        tokens: Int[np.ndarray, " token"],
        documents: Sequence[int] | Int[np.ndarray, " bound"],
        words: Mapping[int, str],
        fired: Mapping[str, Sequence[Fired]],
    ) -> None:
        """Args: fired: for each site what each of its units does."""
        self.words, self.tokens, self.documents = words, tokens, np.asarray(documents, dtype=np.int64)
        self.windows = self.documents
        self._rows = {Site.parse(site): [_sorted(one) for one in rows] for site, rows in fired.items()}
        self._here: dict[Site, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    @property
    def sites(self) -> tuple[Site, ...]:
        return tuple(self._rows)

    def units(self, site: Site) -> int:
        return len(self._rows[site])

    def row(self, site: Site, unit: int) -> Fired:
        return self._rows[site][unit]

    def whole(self, site: Site, unit: int) -> Fired:
        """The same: all are held."""
        return self.row(site, unit)

    def at(self, site: Site, place: int) -> Here:
        """What fires at a token, in the order of the units."""
        if site not in self._here:
            rows = self._rows[site]
            units = np.repeat(np.arange(len(rows)), [len(row.place) for row in rows])
            places = np.concatenate([np.empty(0, np.int64), *(row.place for row in rows)])
            values = np.concatenate([np.empty(0, np.float32), *(row.value for row in rows)])
            order = np.argsort(places, kind="stable")
            self._here[site] = places[order], units[order], values[order]
        places, units, values = self._here[site]
        inside = slice(*np.searchsorted(places, [place, place + 1]))
        return Here(units[inside], values[inside])

    def nearest(self, site: Site, unit: int, by: str = "cofiring", n: int = 10) -> list[tuple[int, float]]:
        """By the share of the places of either that are places of both (Jaccard)."""
        mine = np.zeros(len(self.tokens), bool)
        mine[self.row(site, unit).place] = True
        both = np.array([mine[row.place].sum() for row in self._rows[site]])
        sizes = np.array([len(row.place) for row in self._rows[site]])
        share = both / np.maximum(1, sizes + mine.sum() - both)
        share[unit] = -1
        return [(int(u), float(share[u])) for u in np.argsort(-share, kind="stable")[:n] if share[u] > 0]


def _sorted(fired: Fired) -> Fired:
    order = np.argsort(-np.abs(fired.value), kind="stable")
    return Fired(fired.place[order].astype(np.int64), fired.value[order].astype(np.float32))
