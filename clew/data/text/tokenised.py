"""A text as tokens: which piece of writing each of them is, and where documents begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from clew.firings import Firings


@dataclass(frozen=True, eq=False)
class Tokenised:
    """Tokens in order, each as the number of its piece."""

    pieces: tuple[str, ...]
    """The different pieces, each once: " the", "ing", ","."""
    kinds: Int[np.ndarray, " token"]
    """Which piece stands at each token."""
    documents: Int[np.ndarray, " bound"]
    """Where each document starts, and the end of the last: what no token looks beyond."""
    whole: Int[np.ndarray, " document"] | None = None
    """Of documents that are parts of longer ones, which one each is of; those of one stand side by side."""

    @classmethod
    def of(cls, documents: Sequence[Sequence[str]]) -> Tokenised:
        """From the pieces of each document.

        >>> Tokenised.of([["a", " b", "a"]]).kinds
        array([0, 1, 0])
        """
        pieces = [piece for document in documents for piece in document]
        number = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
        bounds = np.cumsum([0, *map(len, documents)])
        return cls(tuple(number), np.array([number[p] for p in pieces], dtype=np.int64), bounds)

    @classmethod
    def read(cls, firings: Firings) -> Tokenised:
        """The text that units fire in; its documents are the windows that the model saw."""
        ids, kinds = np.unique(firings.tokens, return_inverse=True)
        said = [firings.words.get(i, f"<{i}>") for i in ids.tolist()]
        number = {piece: i for i, piece in enumerate(dict.fromkeys(said))}
        numbers = np.array([number[p] for p in said], dtype=np.int64)
        whole = np.searchsorted(firings.documents, firings.windows[:-1], side="right")
        return cls(tuple(number), numbers[kinds], np.asarray(firings.windows), whole)

    def __len__(self) -> int:
        return len(self.kinds)

    @cached_property
    def group(self) -> Int[np.ndarray, " token"]:
        """The whole document that each token stands in."""
        return self.document if self.whole is None else self.whole[self.document]

    @cached_property
    def document(self) -> Int[np.ndarray, " token"]:
        """The document of each token."""
        return np.repeat(np.arange(len(self.documents) - 1), np.diff(self.documents))

    def parts(self, *shares: int) -> Int[np.ndarray, " document"]:
        """For each document the part it falls in, by what it begins with: two of one text are in one part.

        Args: shares: how large the parts are: 3, 1, 1 for three fifths and two of one fifth each.
        """
        bounds, drawn = np.cumsum(shares), np.empty(len(self.documents) - 1, np.int64)
        spelled = np.array([int.from_bytes(blake2b(p.encode(), digest_size=7).digest(), "big") for p in self.pieces])
        for i, (start, end) in enumerate(pairwise(self.documents)):
            if i and self.whole is not None and self.whole[i] == self.whole[i - 1]:
                drawn[i] = drawn[i - 1]
                continue
            mark = blake2b(spelled[self.kinds[start:end]].tobytes(), digest_size=7).digest()
            drawn[i] = int.from_bytes(mark, "big") % bounds[-1]
        return np.searchsorted(bounds, drawn, side="right")
