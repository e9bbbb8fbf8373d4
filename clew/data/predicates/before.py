"""Which other token a predicate may look at from a token: those before it, what followed it when last met, and the next."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from clew.data.text.tokenised import Tokenised

HERE, NEARBY = "here", "nearby"
BEFORE = {"1 before": 1, "2 before": 2, "3 before": 3}
ECHO = "after its last occurrence"
"""What followed the nearest earlier occurrence of the same token, as an induction head sees it."""
NEXT = "next"
"""What comes, which a unit cannot see but may foretell."""
WINDOW = 8
"""How many tokens before count as nearby."""
VIEWS = (HERE, *BEFORE, ECHO)
"""From where exactly one token is seen, or none."""
EVERYWHERE = (*VIEWS, NEARBY, NEXT)

Looks = Int[np.ndarray, " token"]
"""For each token the place of the one it looks at, or -1."""


def view(text: Tokenised, name: str) -> Looks:
    """Where each token looks, never into another document."""
    here = np.arange(len(text))
    if name == HERE:
        return here
    if name == ECHO:
        last = previous(text)
        return np.where(last >= 0, last + 1, -1)
    if name == NEXT:
        return np.where(here + 1 < text.documents[1:][text.document], here + 1, -1)
    behind = BEFORE[name]
    return np.where(here - behind >= text.documents[:-1][text.document], here - behind, -1)


def previous(text: Tokenised) -> Looks:
    """The nearest earlier place of the same piece in the same document, or -1."""
    order = np.lexsort((np.arange(len(text)), text.kinds, text.document))
    same = (text.kinds[order][1:] == text.kinds[order][:-1]) & (text.document[order][1:] == text.document[order][:-1])
    found = np.full(len(text), -1)
    found[order[1:][same]] = order[:-1][same]
    return found


def reach(text: Tokenised) -> Looks:
    """For how many tokens after it each token is the last of its piece that is nearby."""
    last, here = previous(text), np.arange(len(text))
    ends = text.documents[1:][text.document] - 1 - here
    following = np.full(len(text), len(text) + WINDOW)
    following[last[last >= 0]] = here[last >= 0]
    return np.minimum(np.minimum(ends, WINDOW), following - here)
