"""Relations: three examples of a relation and a question; the patch prompt asks of another subject.

The setting of Hernandez et al. 2024 (arXiv:2308.09124); tables and templates are ours.
"""

from __future__ import annotations

import random
from typing import Any

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.generated import exchanged, generated
from clew.data.words import CLASSES, COUNTRIES, CURRENCIES

VARIANTS = {
    "language": 'country to language: "Most people in Spain speak" -> " Spanish"',
    "continent": 'country to continent: "Kenya is a country in" -> " Africa"',
    "currency": 'country to currency: "The currency of Japan is the" -> " yen"',
    "kind": 'thing to kind: "The owl is a kind of" -> " bird"',
}
RELATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "language": ("Most people in {} speak", {country: language for country, _, language, _ in COUNTRIES}),
    # "America" is two continents, and no one-token answer tells which.
    "continent": ("{} is a country in", {country: where for country, _, _, where in COUNTRIES if where != "America"}),
    "currency": ("The currency of {} is the", dict(CURRENCIES)),
    "kind": ("The {} is a kind of", dict(CLASSES)),
}
SHOTS = 3


def relations(variant: str, *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """One pair per subject, so fewer than n. The examples are the same in every prompt, and not asked for."""
    rng = random.Random(seed)
    template, facts = RELATIONS[variant]
    questions = dict(rng.sample(list(facts.items()), len(facts)))
    by_answer = {answer: subject for subject, answer in questions.items()}
    shots = [(subject, answer) for answer, subject in list(by_answer.items())[:SHOTS]]
    examples = "".join(f"{template.format(subject)} {answer}.\n" for subject, answer in shots)
    asked = {subject: answer for subject, answer in questions.items() if (subject, answer) not in shots}
    candidates = exchanged(asked, lambda subject: examples + template.format(subject), rng)
    return generated(f"relations/{variant}", candidates, description=VARIANTS[variant], model=model, n=n, seed=seed)
