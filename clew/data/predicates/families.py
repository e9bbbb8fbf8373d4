"""The families of predicates that are read off one token, and how each is worded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from clew.data.predicates import lexicon, words

SHOWN = 8
"""Words of a set that its wording lists; of more it gives the number."""


@dataclass(frozen=True)
class Family:
    """What of one kind can be true of a token."""

    of: Callable[[str], Iterable[str]]
    """The values that are true of a piece."""
    said: Callable[[tuple[str, ...]], str]
    """Tokens that have any of some values, in the plural."""


def _listed(values: Iterable[str]) -> str:
    listed = list(values)
    if len(listed) > SHOWN:
        return f"{', '.join(listed[: SHOWN - 1])} or {len(listed) - SHOWN + 1} others"
    return " or ".join(filter(None, [", ".join(listed[:-1]), listed[-1]]))


def _quoted(values: tuple[str, ...]) -> str:
    return _listed(map(repr, values))


def _as_named(values: tuple[str, ...]) -> str:
    return _listed(values)


FAMILIES: Mapping[str, Family] = {
    "word": Family(words.word, _quoted),
    "class": Family(lexicon.classes, _as_named),
    "digits": Family(words.digits, _as_named),
    "punctuation": Family(words.punctuation, _as_named),
    "case": Family(words.case, _as_named),
    "shape": Family(words.shape, _as_named),
    "script": Family(words.script, _as_named),
    "suffix": Family(words.suffix, lambda values: f"words that end in {_listed(f'-{v}' for v in values)}"),
    "prefix": Family(words.prefix, lambda values: f"words that begin with {_listed(f'{v}-' for v in values)}"),
    "token": Family(lambda piece: (piece,), lambda values: f"the token {_quoted(values)}"),
}
"""By name; of two that hold of the same tokens the earlier is the one that is named."""
