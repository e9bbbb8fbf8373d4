"""Facts of our own: counterfactuals about countries and everyday things."""

from __future__ import annotations

import random
from collections import Counter

from clew.data.facts.counterfactuals import counterfactuals
from clew.data.facts.facts import Fact, Facts, says
from clew.data.words import ANTONYMS, CLASSES, COLOR_OF, COUNTRIES, CURRENCIES
from clew.models import Model
from clew.near import near

RELATIONS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "capital": (
        (
            "The capital of {} is the city of",
            "The capital city of {} is",
            "The seat of government of {} is in the city of",
        ),
        {country: capital for country, capital, _, _ in COUNTRIES},
    ),
    "language": (
        ("The official language of {} is", "Most people in {} speak", "In {}, people mostly speak"),
        {country: language for country, _, language, _ in COUNTRIES},
    ),
    # "America" is two continents, and no one-token answer tells which.
    "continent": (
        ("{} is located on the continent of", "{} belongs to the continent of", "{} is a country in"),
        {country: where for country, _, _, where in COUNTRIES if where != "America"},
    ),
    "currency": (("The official currency of {} is the", "The currency of {} is the"), dict(CURRENCIES)),
    "kind": (("A {} is a type of", "The {} is a kind of", "Every {} is a"), dict(CLASSES)),
    "color": (("The usual color of the {} is", "The color of the {} is"), COLOR_OF),
    "opposite": (("The antonym of {} is", "The opposite of {} is"), dict(ANTONYMS)),
}
"""Our own tables as relations: prompt templates, of which the first asks and the others are paraphrases; answers."""


def facts(n: int = 100, *, model: Model | None = None, relation: str | None = None, seed: int = 0) -> Facts:
    """n counterfactuals about countries and everyday things, each with paraphrases and neighbours.

    A third of all subjects is never edited and serves as neighbours, so that also a hundred edits leave some untouched.

    Args:
        model: keep only what it knows: facts whose old answer, and neighbours whose right answer, it says greedily.
        relation: one of RELATIONS; all of them by default.
    Raises: ValueError when there are fewer than n, or for an unknown relation.

    >>> [fact.asked for fact in facts(2)]
    ['A tulip is a type of', 'The usual color of the cucumber is']
    """
    if relation is not None and relation not in RELATIONS:
        raise ValueError(f"there is no relation {relation!r}; {near(relation, RELATIONS)}")
    made: list[Fact] = []
    for name, (templates, answers) in RELATIONS.items():
        if relation in (None, name):
            knows = _knows(model, templates[0], answers)
            made += counterfactuals(templates, knows, seed=seed)
    made = random.Random(seed).sample(made, len(made))
    times: Counter[str] = Counter()
    rank = [
        times.update([fact.subject]) or times[fact.subject] for fact in made
    ]  # a new subject before one seen already
    order = sorted(range(len(made)), key=rank.__getitem__)
    if len(made) < n:
        whose = "in our tables" if model is None else "that the model knows"
        raise ValueError(f"there are {len(made)} facts {whose}; n={n} is too many")
    return Facts(relation or "everyday facts", tuple(made[i] for i in order[:n]))


def _knows(model: Model | None, template: str, answers: dict[str, str]) -> dict[str, str]:
    """The subjects whose answer the model says greedily; all of them without a model."""
    if model is None:
        return answers
    said = says(model, [(template.replace("{}", s), a) for s, a in answers.items()])
    return {subject: answers[subject] for subject, yes in zip(answers, said, strict=True) if yes}
