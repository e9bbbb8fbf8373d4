"""Induction: words in random order, again and again; what followed before follows now.

After Olsson et al. 2022 (arXiv:2209.11895). In the patch prompt two words have changed places in the full rounds,
so that another word, present in both prompts, followed before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.generated import generated, reverse
from clew.data.words import NOUNS

VARIANTS = {"": "six random words, twice over and then begun again: what followed before follows now"}
WORDS, ROUNDS, AGAIN = 6, 2, 3
"""Words in a round, full rounds, and how many words come again before the question."""


def induction(variant: str = "", *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """The prompt stops after three words of the third round."""
    candidates = _candidates(random.Random(seed))
    return generated("induction", candidates, description=VARIANTS[variant], model=model, n=n, seed=seed, aligned=True)


def _candidates(rng: random.Random) -> Iterator[Pair]:
    while True:
        words = rng.sample(NOUNS, WORDS)
        swapped, other = list(words), rng.randrange(AGAIN + 1, WORDS)
        swapped[AGAIN], swapped[other] = swapped[other], swapped[AGAIN]
        again = words[:AGAIN]
        pair = Pair(
            " ".join([*words * ROUNDS, *again]),
            " ".join([*swapped * ROUNDS, *again]),
            (f" {words[AGAIN]}",),
            (f" {words[other]}",),
        )
        yield from (pair, reverse(pair))
