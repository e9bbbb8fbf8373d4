"""Classes of words that are few enough to be listed: closed classes whole, open ones by common members.

A word may be in several classes; the listing is ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from clew.data.words import (
    CLASSES,
    COUNTRIES,
    FEMALE_RELATIVES,
    MALE_RELATIVES,
    MEN,
    PEOPLE,
    THINGS,
    THINGS_BY_COLOR,
    VERBS,
    WOMEN,
)

_LISTED = {
    "articles": "the a an",
    "demonstratives": "this that these those",
    "subject pronouns": "i you he she it we they",
    "object pronouns": "me him her us them",
    "possessives": "my your his her its our their mine yours hers ours theirs",
    "reflexive pronouns": "myself yourself himself herself itself ourselves yourselves themselves",
    "feminine pronouns": "she her hers herself",
    "masculine pronouns": "he him his himself",
    "first person words": "i me my mine myself we us our ours ourselves",
    "second person words": "you your yours yourself yourselves",
    "question words": "who whom whose which what when where why how",
    "prepositions": "of in to for with on at by from about into through over after under between against during without "
    "before among within across behind beyond upon toward towards near beside above below around along throughout despite",
    "coordinating conjunctions": "and or but nor yet so",
    "subordinating conjunctions": "because although though while if unless until since whereas whether",
    "modal verbs": "can could will would shall should may might must",
    "forms of 'be'": "be am is are was were been being",
    "forms of 'have'": "have has had having",
    "forms of 'do'": "do does did doing done",
    "negations": "not no never none nothing nobody neither nor nowhere cannot",
    "quantifiers": "all some any many much few several most each every both more less enough",
    "adverbs of degree": "very quite rather too so extremely almost nearly fairly hardly really",
    "adverbs of time": "now then soon later again always never often sometimes already still yet once today yesterday "
    "tomorrow",
    "linking adverbs": "however therefore thus moreover furthermore nevertheless consequently hence instead otherwise "
    "meanwhile",
    "number words": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion",
    "ordinals": "first second third fourth fifth sixth seventh eighth ninth tenth last",
    "days of the week": "monday tuesday wednesday thursday friday saturday sunday",
    "months": "january february march april may june july august september october november december",
    "seasons": "spring summer autumn winter fall",
    "units of time": "second seconds minute minutes hour hours day days week weeks month months year years decade decades "
    "century centuries",
    "units of measure": "meter meters metre metres kilometer kilometers mile miles foot feet inch inches pound pounds "
    "kilogram kilograms ton tons gallon liter liters acre acres",
    "parts of the body": "head face eye eyes ear ears nose mouth hand hands arm arms leg legs foot feet finger fingers "
    "heart blood skin hair neck shoulder shoulders knee knees",
    "titles": "mr mrs ms miss dr sir lord lady captain professor president king queen prince saint",
    "compass points": "north south east west northern southern eastern western northeast northwest southeast southwest",
    "comparatives": "more less better worse larger smaller greater higher lower older younger longer shorter earlier later "
    "stronger weaker faster further",
    "superlatives": "most least best worst largest smallest greatest highest lowest oldest youngest longest shortest",
    "verbs of saying": "say says said tell tells told ask asks asked reply replied answer answered cry cried whisper "
    "whispered shout shouted",
    "words of family": "father mother son daughter brother sister wife husband uncle aunt cousin parent parents child "
    "children family grandfather grandmother",
    "German function words": "der die das und ist nicht ein eine mit auf für von zu den dem des sich auch wird wurde",
    "French function words": "le la les des du une est et dans pour que qui pas sur avec par au aux cette",
    "Spanish function words": "el los las una es y en por que con para del se como más pero su al",
    "code keywords": "def return import class self print int void static const null true false function var elif",
}


def _lists() -> dict[str, set[str]]:
    found = {name: set(words.split()) for name, words in _LISTED.items()}
    plants = {"fruit", "vegetable"}
    found["colors"] = set(THINGS_BY_COLOR)
    found["countries"] = {country.lower() for country, *_ in COUNTRIES}
    found["capitals"] = {capital.lower() for _, capital, *_ in COUNTRIES}
    found["languages"] = {language.lower() for _, _, language, _ in COUNTRIES}
    found["continents"] = {"europe", "asia", "africa", "america", "australia", "antarctica"}
    found["names of men"] = {name.lower() for name in MEN}
    found["names of women"] = {name.lower() for name in WOMEN}
    found["singular nouns for people"], found["plural nouns for people"] = set(PEOPLE), set(PEOPLE.values())
    found["singular nouns for things"], found["plural nouns for things"] = set(THINGS), set(THINGS.values())
    found["verbs in the past tense"] = {past for _, past in VERBS}
    found["verbs in their base form"] = {base for base, _ in VERBS}
    found["animals"] = {word for word, kind in CLASSES if kind in {"animal", "bird", "fish", "insect"}}
    found["fruits and vegetables"] = {word for word, kind in CLASSES if kind in plants}
    found["words for women"], found["words for men"] = set(FEMALE_RELATIVES), set(MALE_RELATIVES)
    return found


def _classes() -> dict[str, tuple[str, ...]]:
    by_word: dict[str, list[str]] = {}
    for name, words in LISTS.items():
        for word in words:
            by_word.setdefault(word, []).append(name)
    return {word: tuple(names) for word, names in by_word.items()}


LISTS: Mapping[str, set[str]] = _lists()
"""The words of each class, in lower case."""
CLASSES_OF: Mapping[str, tuple[str, ...]] = _classes()
"""The classes of each word."""


def classes(piece: str) -> tuple[str, ...]:
    """The classes that a token is in, read without the blanks around it and in lower case.

    >>> classes(" Monday")
    ('days of the week',)
    """
    return CLASSES_OF.get(piece.strip().lower(), ())
