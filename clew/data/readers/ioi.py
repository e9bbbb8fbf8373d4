"""Indirect object identification: of two people, the one who did not just act receives.

The task of Wang et al. 2023 (arXiv:2211.00593); templates and words are ours. Clean and patch prompt differ in the
second mention of a name alone (ABB against ABA), so that the answer becomes the other name.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.generated import generated, reverse
from clew.data.words import MEN, OBJECTS, PLACES, WOMEN

TEMPLATES = (
    "When {a} and {b} went to the {place}, {s} gave a {thing} to",
    "After {a} and {b} met at the {place}, {s} handed a {thing} to",
    "While {a} and {b} were at the {place}, {s} decided to give a {thing} to",
    "Then {a} and {b} had a long talk at the {place}. Afterwards {s} sent a {thing} to",
    "Yesterday {a} and {b} walked to the {place}, and {s} bought a {thing} for",
)

VARIANTS = {
    "": "indirect object identification, five templates, either name first",
    "one_template": "the same in one template, so that positions mean the same in every pair",
}


def ioi(variant: str = "", *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """Case "first" has the receiver named first (ABBA), "second" has it named second (BABA)."""
    one = variant == "one_template"
    candidates = _candidates(random.Random(seed), TEMPLATES[:1] if one else TEMPLATES)
    name, description = ("ioi/one_template" if one else "ioi"), VARIANTS[variant]
    return generated(name, candidates, description=description, model=model, n=n, seed=seed, aligned=one)


def _candidates(rng: random.Random, templates: Sequence[str]) -> Iterator[Pair]:
    while True:
        a, b = rng.sample([*MEN, *WOMEN], 2)
        words = {"a": a, "b": b, "place": rng.choice(PLACES), "thing": rng.choice(OBJECTS)}
        template = rng.choice(templates)
        clean, patch = template.format(**words, s=b), template.format(**words, s=a)
        pair = Pair(clean, patch, (f" {a}",), (f" {b}",), "first")
        yield from (pair, reverse(pair, "second"))
