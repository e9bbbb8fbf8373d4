"""What an explainer in words is shown: windows in which a unit fires, of documents that are not held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.data.predicates.table import Table
from clew.explain._said import shown
from clew.firings import Fired
from clew.readings.unseen import SHARES, UNSEEN, WINDOW, starts_of, window_of

MARKED = 0.3
"""A token is marked that is at least this share of the strongest in its window."""
STRONGEST = 10


class Known:
    """The documents that explanations may be made from, cut into windows."""

    def __init__(self, table: Table) -> None:
        self.text = table.text
        self.starts = starts_of(self.text, self.text.parts(*SHARES) != UNSEEN)
        self.window = window_of(self.text, self.starts)

    def tokens(self, window: int) -> Int[np.ndarray, " inside"]:
        """Those of a window."""
        near = np.arange(self.starts[window], min(self.starts[window] + WINDOW, len(self.window)))
        return near[self.window[near] == window]


@lru_cache(maxsize=1)
def known_of(table: Table) -> Known:
    """The known part of a text, kept while the same text is asked for."""
    return Known(table)


@dataclass(frozen=True, eq=False)
class Example:
    """A window in which a unit fires."""

    known: Known
    tokens: Int[np.ndarray, " inside"]
    values: Float[np.ndarray, " inside"]
    """As shares of the strongest of the unit."""

    @property
    def strongest(self) -> int:
        """The token of the text on which it fires most."""
        return int(self.tokens[self.values.argmax()])

    @property
    def marked(self) -> Bool[np.ndarray, " inside"]:
        """Where it fires strongly, for this window."""
        return self.values >= MARKED * self.values.max()

    def piece(self, token: int) -> str:
        """What stands at a token of the text."""
        return self.known.text.pieces[self.known.text.kinds[token]]

    def __str__(self) -> str:
        return shown(self.known.text, self.tokens, self.tokens[self.marked])

    def activations(self) -> str:
        """What it does on the marked tokens, from 1 to 10."""
        strengths = np.maximum(1, np.rint(STRONGEST * self.values[self.marked]).astype(int))
        pairs = zip(self.tokens[self.marked].tolist(), strengths.tolist(), strict=True)
        return ", ".join(f'("{self.piece(token)}": {strength})' for token, strength in pairs)

    def following(self) -> str:
        """The token after the strongest, in the same document; nothing at its end."""
        token, document = self.strongest + 1, self.known.text.document
        return self.piece(token) if token < len(document) and document[token] == document[token - 1] else ""


def firing_windows(known: Known, row: Fired, side: int, n: int, *, spread: bool) -> list[Example]:
    """At most n windows, the strongest first.

    Args: spread: over all strengths evenly; otherwise the strongest ones.
    """
    fires = (side * row.value > 0) & (known.window[row.place] >= 0)
    place, value = row.place[fires], np.abs(row.value[fires]).astype(np.float64)
    if not len(place):
        return []
    values = np.zeros(len(known.window))
    values[place] = value / value.max()
    windows = known.window[place[np.argsort(-value, kind="stable")]]
    first = np.sort(np.unique(windows, return_index=True)[1])
    strongest = windows[first]
    ends = np.linspace(0, len(strongest) - 1, min(n, len(strongest))) if spread else np.arange(min(n, len(strongest)))
    chosen = strongest[np.unique(ends.astype(int))]
    return [Example(known, inside, values[inside]) for inside in map(known.tokens, chosen.tolist())]
