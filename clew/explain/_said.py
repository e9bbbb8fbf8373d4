"""What an explanation says of windows of text: one in words by whoever is asked, any other by being executed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from clew.data.text.tokenised import Tokenised
from clew.readings.said import InWords, Said
from clew.readings.unseen import Explanation, Unseen


def said_of_windows(explanation: Explanation, unseen: Unseen, windows: Int[np.ndarray, " window"]) -> Said:
    """Whether the unit fires in each."""
    if isinstance(explanation, InWords):
        return explanation.fires_in([shown(unseen.table.text, unseen.tokens(w)) for w in windows.tolist()])
    most = unseen.most(unseen.predicted(explanation))[windows]
    return Said(most, (most > 0).astype(float))


def said_of_marks(explanation: Explanation, unseen: Unseen, marks: Sequence[tuple[int, Int[np.ndarray, " _"]]]) -> Said:
    """Whether the unit fires on the tokens that are marked.

    Args: marks: of each window its number, and the tokens.
    """
    if isinstance(explanation, InWords):
        return explanation.fires_on([shown(unseen.table.text, unseen.tokens(w), m) for w, m in marks])
    said = unseen.predicted(explanation)
    score = np.array([said[m].mean() for _, m in marks], dtype=float)
    return Said(score, np.array([(said[m] > 0).mean() >= 0.5 for _, m in marks], dtype=float))


def shown(text: Tokenised, tokens: Int[np.ndarray, " inside"], marked: Int[np.ndarray, " marked"] | None = None) -> str:
    """A run of tokens on one line, runs of marked ones in << >>.

    >>> shown(Tokenised.of([["It", " is", " so"]]), np.arange(3), np.array([1, 2]))
    'It <<is so>>'
    """
    inside, found = set[int]() if marked is None else set(marked.tolist()), list[str]()
    for token in tokens.tolist():
        piece = text.pieces[text.kinds[token]].replace("<<", "< <").replace(">>", "> >").replace("\n", "\\n")
        if token in inside and token - 1 not in inside:
            blank = " " * (len(piece) - len(piece.lstrip(" ")))
            piece = f"{blank}<<{piece.lstrip(' ')}"
        found.append(piece + ">>" * (token in inside and token + 1 not in inside))
    return "".join(found).strip()
