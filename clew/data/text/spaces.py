"""Whether a space stands between a prompt and what answers it, as people write."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

UNSPACED = (
    (0x0E00, 0x109F),  # Thai, Lao, Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3000, 0x312F),  # Chinese and Japanese: punctuation, kana
    (0x31A0, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF00, 0xFF9F),
    (0x20000, 0x3FFFF),
)
"""Characters of scripts that put no space between words, from and to."""
JOINS = "/\\_@#~¿¡"
"""After these, no space, as after opening brackets and quotes and the signs of currencies."""
DASHES = "-–—"
"""After these, none where none stands before them."""
ENDS = ".,;:!?%…"
"""Before these, no space, as before closing brackets and quotes."""
QUOTES = "\"'`"
"""Marks that open and close alike."""


def space_between(prompt: str, answer: str, special: Sequence[str] = ()) -> str:
    """The space, or nothing, that is written between the two.

    Nothing where one of them brings its own white space, in scripts without spaces, after what opens or joins, and before
    what closes. Args: special: the tokenizer's special tokens, which end the template of a chat.

    >>> space_between("The capital of France is", "Paris"), space_between("日本の首都は", "東京"), space_between("(", "Paris")
    (' ', '', '')
    """
    if not prompt or not answer or prompt[-1].isspace() or answer[0].isspace() or prompt.endswith(tuple(special)):
        return ""
    letters = [c for c in prompt if c.isalnum()]
    if _unspaced(prompt[-1]) or (letters and _unspaced(letters[-1])):
        return ""
    if _unspaced(answer[0]) and any(map(_unspaced, prompt)):
        return ""
    return "" if _opens(prompt) or _closes(answer[0]) else " "


def _unspaced(character: str) -> bool:
    return any(start <= ord(character) <= end for start, end in UNSPACED)


def _opens(prompt: str) -> bool:
    """Whether the last character of a text belongs to what follows."""
    last, before = prompt[-1], prompt[:-1]
    if last in QUOTES:
        opened = last != "'" and before.count(last) % 2 == 0
        return not before or before[-1].isspace() or opened or _opens(before)
    if last in DASHES:
        return bool(before) and not before[-1].isspace()
    return last in JOINS or unicodedata.category(last) in ("Ps", "Pi", "Sc")


def _closes(character: str) -> bool:
    return character in ENDS or unicodedata.category(character) in ("Pe", "Pf")
