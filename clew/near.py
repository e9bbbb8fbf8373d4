"""Near names, for messages that say what was perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str:
    """A clause that names the known words closest to `word`, for error messages."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"known: {', '.join(known[:30])}" + (f" and {len(known) - 30} more" if len(known) > 30 else "")
