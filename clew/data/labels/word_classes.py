"""Single words by number, tense, kind, gender and part of speech, read at their last token."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable

from clew.data.labels.labelled import Labelled
from clew.data.words import (
    CLASSES,
    COUNTRIES,
    FEMALE_RELATIVES,
    MALE_RELATIVES,
    MEN,
    PEOPLE,
    THINGS,
    VERBS,
    WOMEN,
)

ANIMALS = {"animal", "bird", "fish", "insect"}
FOODS = {"fruit", "vegetable"}


def _facts() -> Iterable[tuple[str, str, str]]:
    """(word, labelling, class), from the lists that our templates are filled with."""
    for kind, nouns in (("person", PEOPLE), ("thing", THINGS)):
        for singular, plural in nouns.items():
            for word, number in ((singular, "singular"), (plural, "plural")):
                yield from ((word, "number", number), (word, "kind", kind), (word, "part of speech", "noun"))
    for present, past in VERBS:
        for verb, tense in ((present, "present"), (past, "past")):
            yield from ((verb, "tense", tense), (verb, "part of speech", "verb"))
    for word, kind in CLASSES:
        if kind in ANIMALS | FOODS:
            yield word, "kind", "animal" if kind in ANIMALS else "food"
    for country, capital, _, _ in COUNTRIES:
        yield from ((country, "kind", "country"), (capital, "kind", "city"))
    for gender, names, relatives in (("female", WOMEN, FEMALE_RELATIVES), ("male", MEN, MALE_RELATIVES)):
        for name in names:
            yield from ((name, "kind", "name"), (name, "gender", gender))
        for word in relatives:
            yield word, "gender", gender


def word_classes(*, per_class: int = 80, seed: int = 0) -> Labelled:
    """Words in one neutral sentence, "He wrote down the word ...", labelled at the last token.

    Labellings: number, tense, kind, gender, part of speech. A word that belongs to two classes of a labelling (to
    "cook", a "cook") has no label there.

    Args: per_class: at most so many words of a class; fewer where our lists run out.
    """
    told: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for word, labelling, name in _facts():
        told[labelling][word].add(name)
    rng, kept = random.Random(seed), dict[str, dict[str, str]]()
    for labelling, words in told.items():
        clear = {word: min(names) for word, names in words.items() if len(names) == 1}
        for name in sorted(set(clear.values())):
            of_class = [word for word in clear if clear[word] == name]
            kept.setdefault(labelling, {}).update(
                dict.fromkeys(rng.sample(of_class, min(per_class, len(of_class))), name)
            )
    words = sorted({word for some in kept.values() for word in some})
    labels = {labelling: tuple(some.get(word, "") for word in words) for labelling, some in kept.items()}
    return Labelled("word classes", tuple(f"He wrote down the word {word}" for word in words), labels, position=-1)
