"""Multiple choice: the color of a thing, by the letter of the right choice or as the word itself.

The task of Wiegreffe et al. 2025 (arXiv:2407.15018) and of MIB (Mueller et al. 2025, arXiv:2504.13151), whose prompts
ask for a letter; templates and words are ours. Small models know the color and not its letter: SmolLM2-135M and
Gemma-3-270M say the same letter whatever is asked, and are mostly right about the word.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.generated import generated, reverse
from clew.data.words import COLOR_OF, THINGS_BY_COLOR

VARIANTS = {
    "letters": "the letter of one of four colors; in the patch prompt two choices have changed places",
    "word": 'the color of one of two things, both stated: "The color of the lemon is" -> " yellow" / " green"',
}
LETTERS = "ABCD"


def mcqa(variant: str, *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """Cases: "A" to "D", the right letter; "first" and "second", the thing asked for. A patch prompt asks for the other."""
    make = _letters if variant == "letters" else _word
    return generated(
        f"mcqa/{variant}",
        make(random.Random(seed)),
        description=VARIANTS[variant],
        model=model,
        n=n,
        seed=seed,
        aligned=True,
    )


def _letters(rng: random.Random) -> Iterator[Pair]:
    while True:
        thing, right = rng.choice(list(COLOR_OF.items()))
        colors = rng.sample([c for c in THINGS_BY_COLOR if c != right], len(LETTERS) - 1)
        colors.insert(rng.randrange(len(LETTERS)), right)
        at, other = colors.index(right), rng.choice([i for i in range(len(LETTERS)) if colors[i] != right])
        swapped = list(colors)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        clean, patch = (
            f"Question: The {thing} is {right}. What color is the {thing}?\n"
            + "".join(f"{letter}. {color}\n" for letter, color in zip(LETTERS, choices, strict=True))
            + "Answer:"
            for choices in (colors, swapped)
        )
        pair = Pair(clean, patch, (f" {LETTERS[at]}",), (f" {LETTERS[other]}",), LETTERS[at])
        yield from (pair, reverse(pair, LETTERS[other]))


def _word(rng: random.Random) -> Iterator[Pair]:
    while True:
        colors = rng.sample(list(THINGS_BY_COLOR), 2)
        things = [rng.choice(THINGS_BY_COLOR[color].split()) for color in colors]
        facts = " ".join(f"The color of the {t} is {c}." for t, c in zip(things, colors, strict=True))
        # The question comes first: asked after the facts, SmolLM2 leans to the last color and Gemma to the first.
        clean, patch = (
            f"Question: What color is the {asked}?\nFacts: {facts}\nAnswer: The color of the {asked} is"
            for asked in things
        )
        pair = Pair(clean, patch, (f" {colors[0]}",), (f" {colors[1]}",), "first")
        yield from (pair, reverse(pair, "second"))
