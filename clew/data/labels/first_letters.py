"""The first letter of a word that is one token: a hierarchy (letter over words) of which every example is known.

Source: Chanin et al. 2024 (arXiv:2409.14507), the spelling prompt. Differs: `shots` worked examples before the
word where they give ten, and lower-case words of three letters or more where they take any.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from clew.data.labels.labelled import Labelled
from clew.models.tokens import tokenised

ASK = " has the first letter:"
MARKS = "Ġ▁ "
"""How vocabularies write the space before a word."""


def first_letters(model: Any, *, per_letter: int = 40, shots: int = 3, seed: int = 0) -> Labelled:
    """Prompts like " cat has the first letter: C\\n dog has the first letter:", labelled at the token " dog".

    Args:
        model: a model or a tokenizer; the words are tokens of its vocabulary, those of the lowest ids first, which in
            most vocabularies are the most frequent.
        per_letter: at most so many words of a letter.
        shots: worked examples before each word, of other words drawn by `seed`.

    Raises: ValueError when the vocabulary has fewer words than one prompt takes.
    """
    tokenizer = getattr(model, "tokenizer", model)
    words: dict[str, list[str]] = {}
    for word in _words(tokenizer):
        some = words.setdefault(word[0], [])
        if len(some) < per_letter:
            some.append(word)
    chosen = [word for letter in sorted(words) for word in words[letter]]
    if len(chosen) <= shots:
        raise ValueError(
            f"this vocabulary has {len(chosen)} lower-case words of one token; a prompt takes {shots + 1}. "
            "Use a tokenizer of English words, or fewer shots"
        )
    rng, texts, letters, ends = random.Random(seed), list[str](), list[str](), set[int]()
    for word in chosen:
        examples = rng.sample([other for other in chosen if other != word], shots)
        before = "".join(f" {w}{ASK} {w[0].upper()}\n" for w in examples) + f" {word}"
        ids, whole = tokenised(tokenizer, [before, before + ASK])
        if tokenizer.decode([ids[-1]]).strip() == word and whole[: len(ids)] == ids:
            texts.append(before + ASK)
            letters.append(word[0])
            ends.add(len(ids) - len(whole) - 1)
    if len(ends) != 1:
        raise ValueError(
            f"the word stands {sorted(ends) or 'nowhere'} from the end: this tokenizer cuts the prompt in several ways"
        )
    return Labelled("first letters", tuple(texts), {"letter": tuple(letters)}, position=ends.pop())


def _words(tokenizer: Any) -> Iterator[str]:
    """Lower-case words of one token, lowest id first; those marked as the start of a word, where any are."""
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    marked = [token[1:] for token in tokens if token[:1] in MARKS and token]
    for word in marked or tokens:
        if len(word) >= 3 and word.isascii() and word.isalpha() and word.islower():
            yield word
