"""Subject-verb agreement: the verb's number is the subject's, whatever stands between them.

Structures after Linzen et al. 2016 and Finlayson et al. 2021, as in Marks et al. 2024 (arXiv:2403.19647, section 4);
templates and words are ours. Each pair has one verb, and the patch prompt has the subject in the other number.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.generated import generated, reverse
from clew.data.words import PEOPLE, PLACE_WORDS, SINGULAR_PLURAL_VERBS, THINGS, VERBS_OF_FEELING

VARIANTS = {
    "simple": 'number agreement with the noun before: "The manager" -> " is" / " are"',
    "across_pp": 'agreement across a prepositional phrase: "The manager near the windows" -> " is" / " are"',
    "within_rc": 'agreement inside a relative clause: "The manager that the pilots" -> " have" / " has"',
    "across_rc": 'agreement across a relative clause: "The manager who the pilots like" -> " is" / " are"',
}

NUMBERS = ("singular", "plural")


def agreement(variant: str, *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """See VARIANTS. Cases name the number of the verb's subject and then that of the other noun ("singular_plural")."""
    candidates = _simple(random.Random(seed)) if variant == "simple" else _with_attractor(variant, random.Random(seed))
    return generated(
        f"agreement/{variant}", candidates, description=VARIANTS[variant], model=model, n=n, seed=seed, aligned=True
    )


def _simple(rng: random.Random) -> Iterator[Pair]:
    for nouns in rng.sample(list(PEOPLE.items()), len(PEOPLE)):
        verbs = rng.choice(SINGULAR_PLURAL_VERBS)
        pair = Pair(f"The {nouns[0]}", f"The {nouns[1]}", (verbs[0],), (verbs[1],), "singular")
        yield from (pair, reverse(pair, "plural"))


def _with_attractor(variant: str, rng: random.Random) -> Iterator[Pair]:
    people, things = list(PEOPLE.items()), list(THINGS.items())
    while True:
        subject, other = rng.sample(people, 2)
        thing, number, verbs = rng.choice(things), rng.randrange(2), rng.choice(SINGULAR_PLURAL_VERBS)
        if variant == "within_rc":
            # The verb to come belongs to the inner noun, so it is the inner noun whose number changes.
            prompts = [f"The {subject[number]} that the {inner}" for inner in other]
        elif variant == "across_rc":
            plural, singular = rng.choice(VERBS_OF_FEELING)
            clause = f"who the {other[number]} {(singular, plural)[number]}"
            prompts = [f"The {outer} {clause}" for outer in subject]
        else:
            phrase = f"{rng.choice(PLACE_WORDS)} the {thing[number]}"
            prompts = [f"The {person} {phrase}" for person in subject]
        pair = Pair(prompts[0], prompts[1], (verbs[0],), (verbs[1],), f"singular_{NUMBERS[number]}")
        yield from (pair, reverse(pair, f"plural_{NUMBERS[number]}"))
