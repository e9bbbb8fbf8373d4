"""Where words stand in a tokenised prompt, by character offsets."""

from __future__ import annotations

import re

from transformers import PreTrainedTokenizerBase

from clew.models.tokens import with_offsets


def last_of(tokenizer: PreTrainedTokenizerBase, prompt: str, words: str) -> int:
    """Index of the token that holds the last character of `words` in the prompt.

    The prompt is tokenised as a whole and asked where its characters went, for `words` alone may be cut otherwise.
    Where they stand more than once, the last time counts; whole words go before parts of longer ones.

    Returns: an index from the first token, special tokens included, as in `Where.at(index)`.
    Raises: ValueError if the prompt does not hold the words, or for a tokenizer that keeps no offsets.

    >>> last_of(model.tokenizer, "She sold the old boat", "old boat")
    4
    """
    words = words.strip()
    if not words or words not in prompt:
        raise ValueError(f"{words!r} is not in the prompt {prompt!r}; give words as they are written there")
    whole = [m.end() for m in re.finditer(rf"(?<!\w){re.escape(words)}(?!\w)", prompt)]
    return token_of(tokenizer, prompt, (whole[-1] if whole else prompt.rindex(words) + len(words)) - 1)


def token_of(tokenizer: PreTrainedTokenizerBase, prompt: str, character: int) -> int:
    """Index of the last token that holds a character of the prompt. Raises: as `last_of`."""
    if not tokenizer.is_fast:
        raise ValueError(
            "finding words needs a tokenizer that knows where in the text its tokens stand; this is a slow one"
        )
    _, offsets = with_offsets(tokenizer, prompt)
    holders = [i for i, (start, end) in enumerate(offsets) if start <= character < end]
    if not holders:
        raise ValueError(f"the tokenizer drops {prompt[character]!r}, character {character} of {prompt!r}")
    return holders[-1]
