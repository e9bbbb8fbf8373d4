"""What a token says of itself: its letters, beginning and end, case, digits, punctuation and script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

LONGEST = 5
"""Letters of a beginning or an ending, at most."""
MARKS = {
    "marks that end a sentence": ".!?",
    "commas": ",",
    "colons and semicolons": ":;",
    "quotation marks": "\"'“”‘’«»`",
    "opening brackets": "([{",
    "closing brackets": ")]}",
    "dashes": "-–—",
    "signs of arithmetic": "+*/=<>%^",
    "signs of money": "$€£¥",
}
"""Kinds of punctuation, by their characters."""


def word(piece: str) -> Iterator[str]:
    """The word a token holds, without blanks and in lower case; nothing where it has no letter.

    >>> list(word(" The"))
    ['the']
    """
    bare = piece.strip().lower()
    if any(c.isalpha() for c in bare):
        yield bare


def prefix(piece: str) -> Iterator[str]:
    """Beginnings of a word, shorter than the word: `un`, `unh` of ` unhappy`."""
    bare = piece.strip().lower()
    if bare.isalpha():
        yield from (bare[:n] for n in range(1, min(LONGEST, len(bare) - 1) + 1))


def suffix(piece: str) -> Iterator[str]:
    """Endings of a word, shorter than the word."""
    bare = piece.strip().lower()
    if bare.isalpha():
        yield from (bare[-n:] for n in range(1, min(LONGEST, len(bare) - 1) + 1))


def case(piece: str) -> Iterator[str]:
    """Capitals: none, the first letter's only, all of several, or somewhere inside."""
    bare = piece.strip()
    if not bare.isalpha():
        return
    if bare.islower():
        yield "words in lower case"
        return
    yield "words with a capital"
    if bare[0].isupper() and (len(bare) == 1 or bare[1:].islower()):
        yield "capitalised words"
    elif bare.isupper():
        yield "words in capitals"


def digits(piece: str) -> Iterator[str]:
    """Numbers, by how they are written."""
    bare = piece.strip()
    if not any(c.isdigit() for c in bare):
        return
    yield "tokens with a digit"
    if bare.isdigit():
        yield "numbers"
        if len(bare) > 1:
            yield f"numbers of {len(bare)} digits"


def punctuation(piece: str) -> Iterator[str]:
    """Marks, by kind."""
    bare = piece.strip()
    if not bare or any(c.isalnum() for c in bare):
        return
    yield "punctuation"
    yield from (name for name, marks in MARKS.items() if all(c in marks for c in bare))


def script(piece: str) -> Iterator[str]:
    """The writing of its first letter, where that is not Latin, and letters with marks where it is."""
    letter = next((c for c in piece if c.isalpha()), "")
    if not letter:
        return
    if letter.isascii():
        if any(c.isalpha() and not c.isascii() for c in piece):
            yield "words with a letter outside a to z"
        return
    name = unicodedata.name(letter, "").partition(" ")[0].capitalize()
    yield "words with a letter outside a to z" if name == "Latin" else f"words in {name} script"


def shape(piece: str) -> Iterator[str]:
    """Where a token stands in its word, and how long it is."""
    bare = piece.strip()
    if "\n" in piece:
        yield "line breaks"
    if not bare:
        yield "blanks"
    elif bare.isalpha():
        yield "tokens that begin with a blank" if piece[0].isspace() else "tokens without a blank before them"
        if len(bare) == 1:
            yield "single letters"
        elif len(bare) >= 8:
            yield "words of eight letters or more"
