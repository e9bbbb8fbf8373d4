"""Pronouns: the gender that a name, a word or an occupation brings with it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.generated import generated, reverse
from clew.data.words import FEMALE_JOBS, FEMALE_RELATIVES, MALE_JOBS, MALE_RELATIVES, MEN, STATES, WOMEN

VARIANTS = {
    "names": 'the pronoun of a first name: "My friend Mary was late because" -> " she" / " he"',
    "words": 'the pronoun of a word with a gender: "The queen was late because" -> " she" / " he"',
    "occupations": 'the pronoun text gives an occupation, a bias: "The nurse was late because" -> " she" / " he"',
}
WORDS: dict[str, tuple[str, Sequence[str], Sequence[str]]] = {
    "names": ("My friend {} was {} because", WOMEN, MEN),
    "words": ("The {} was {} because", FEMALE_RELATIVES, MALE_RELATIVES),
    "occupations": ("The {} was {} because", FEMALE_JOBS, MALE_JOBS),
}


def pronouns(variant: str, *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """Cases are "female" and "male", the gender of the clean prompt."""
    return generated(
        f"pronouns/{variant}",
        _candidates(random.Random(seed), *WORDS[variant]),
        description=VARIANTS[variant],
        model=model,
        n=n,
        seed=seed,
        aligned=True,
    )


def _candidates(rng: random.Random, template: str, female: Sequence[str], male: Sequence[str]) -> Iterator[Pair]:
    while True:
        state = rng.choice(STATES)
        clean, patch = (template.format(rng.choice(words), state) for words in (female, male))
        pair = Pair(clean, patch, (" she",), (" he",), "female")
        yield from (pair, reverse(pair, "male"))
