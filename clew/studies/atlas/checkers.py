"""Checker prompts: contexts changed by rule, to see what in them the answer hangs on.

Two rules. *Beginnings exchanged*: all but the last tokens are those of a context from elsewhere; where the answer still
comes, the last tokens drive it. *One word changed*: the last word of a context that has a counterpart in our lists (he and
she, man and woman, a singular and its plural, one number and another) is replaced by it, where both are one token; where
the answer then falls, the context matters at that word.

Source: Wilam 2026 (arXiv:2605.24603) tells what is driven by the token from what is driven by the concept by checker prompts;
rules for any text are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from clew.data.words import MEN, PEOPLE, SINGULAR_PLURAL_VERBS, THINGS, WOMEN
from clew.models.tokens import bare

TAIL = 3
"""How many last tokens stay where beginnings are exchanged."""
GENDERED = (("he", "she"), ("him", "her"), ("his", "her"), ("himself", "herself"), ("man", "woman"), ("men", "women"))
MORE = (
    ("boy", "girl"),
    ("father", "mother"),
    ("brother", "sister"),
    ("son", "daughter"),
    ("king", "queen"),
    ("Mr", "Mrs"),
)
OTHERS = (
    ("this", "these"),
    ("that", "those"),
    ("first", "second"),
    ("before", "after"),
    ("more", "less"),
    ("not", "now"),
)


def exchanged(ids: Sequence[int], other: Sequence[int], tail: int = TAIL) -> list[int]:
    """The beginning of another context and the end of this one; as long as this one.

    >>> exchanged([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], tail=2)
    [6, 7, 8, 4, 5]
    """
    if len(other) < len(ids):
        raise ValueError(f"the other context has {len(other)} tokens and this one {len(ids)}; give one that is as long")
    kept = max(0, len(ids) - tail)
    return [*other[:kept], *ids[kept:]]


@lru_cache(maxsize=2)
def counterparts(tokenizer: Any) -> dict[int, int]:
    """For each token that is a word of our lists the one that is its counterpart; those that are one token each.

    With a space in front, and capital where that is one token too. Kept for the next who asks, so not to be changed.
    """
    found = dict[int, int]()
    for one, other in _pairs():
        for form in (lambda word: f" {word}", lambda word: f" {word[:1].upper()}{word[1:]}"):
            ends = [bare(tokenizer, form(word)) for word in (one, other)]
            known = all(len(ids) == 1 and ids[0] != tokenizer.unk_token_id for ids in ends)
            if known and ends[0] != ends[1]:
                found.setdefault(ends[0][0], ends[1][0])
                found.setdefault(ends[1][0], ends[0][0])
    return found


def _pairs() -> Iterator[tuple[str, str]]:
    yield from (*GENDERED, *MORE, *OTHERS)
    yield from (pair for table in (PEOPLE, THINGS) for pair in table.items())
    yield from ((one.strip(), many.strip()) for one, many in SINGULAR_PLURAL_VERBS)
    yield from zip(MEN, WOMEN, strict=False)
    for words in (
        "one two three four five six seven eight nine ten",
        "red blue green white black",
        "north south east west",
    ):
        yield from pairwise(words.split())


def changed(ids: Sequence[int], table: Mapping[int, int]) -> tuple[int, list[int]] | None:
    """Where the last word with a counterpart stands, and the context with that instead; None where there is none.

    >>> changed([5, 6, 5, 7], {5: 9})
    (2, [5, 6, 9, 7])
    """
    for place in range(len(ids) - 1, -1, -1):
        if (other := table.get(ids[place])) is not None:
            return place, [*ids[:place], other, *ids[place + 1 :]]
    return None
