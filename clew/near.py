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


def misspelt(word: str, known: Iterable[str]) -> str | None:
    """The known word, of four letters or more, that `word` is but for one letter, their order or their case."""
    return next((name for name in known if len(name) > 3 and name != word and _one_off(word, name)), None)


def _one_off(word: str, name: str) -> bool:
    if sorted(word.lower()) == sorted(name.lower()):
        return True
    at = next((i for i, (a, b) in enumerate(zip(word, name, strict=False)) if a != b), min(len(word), len(name)))
    return name[at + 1 :] in (word[at:], word[at + 1 :]) or name[at:] == word[at + 1 :]
