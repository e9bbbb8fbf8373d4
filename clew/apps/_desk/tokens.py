"""Text as a model reads it: its tokens in words, bounded."""

from __future__ import annotations

from typing import Any

from clew.apps._desk.refusals import TooLarge

LONGEST, LETTERS = 512, 20_000
"""Tokens, and characters, of a prompt that is looked at position by position."""


def tokens_of(model: Any, text: str, longest: int = LONGEST) -> tuple[Any, list[str]]:
    """Token ids [1, seq], and each in words. Raises: ValueError for an empty text; TooLarge for a long one."""
    if not text.strip():
        raise ValueError("the text is empty; type a word or more")
    check_letters(text, "the text")
    if len(text) > LETTERS:
        raise TooLarge(f"the text has {len(text):,} characters; up to {LETTERS:,} are read here")
    tokens, _ = model.tokens(text)
    if tokens.shape[1] > longest:
        raise TooLarge(f"the text has {tokens.shape[1]} tokens; up to {longest} are looked at here")
    return tokens, [str(model.tokenizer.decode([token])) for token in tokens[0].tolist()]


def check_letters(text: str, what: str) -> None:
    """Raises: ValueError for half a letter, which no tokenizer and no file of UTF-8 takes. Args: what: what the text is."""
    if any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise ValueError(f"{what} holds half of a letter (a lone surrogate); type the whole letter")
