"""Units whose meaning is known: a text of our own sentences, and units that fire where a given rule holds.

Beside them stand units that fire by chance and mean nothing. An explainer is marked by what it says of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clew.data.predicates import Clause, Predicate, Rule, Table
from clew.data.predicates.before import HERE
from clew.data.text.tokenised import Tokenised
from clew.data.words import ANTONYMS, COUNTRIES, MEN, PEOPLE, PLACES, THINGS, VERBS, WOMEN
from clew.firings import Fired, Held

UPPER, LOWER = "resid.2", "resid.1"
"""Where the units stand that mean something, and those that fire by chance below them."""
CHANCE = 12
"""How many units fire by chance below."""
RATE = 0.01
"""At this share of the tokens."""


@dataclass(frozen=True)
class Meaning:
    """What a unit was made to fire on."""

    kind: str
    """Which kind of predicate it is, for tables."""
    rule: Rule
    """None of its clauses: the unit fires by chance."""


@dataclass(frozen=True, eq=False)
class Meanings:
    """A text, where units fire in it, and what each of those of the upper site means."""

    table: Table
    firings: Held
    truth: tuple[Meaning, ...]

    def address(self, unit: int) -> str:
        """Of a unit of the upper site."""
        return f"{UPPER}/{unit}"


def meanings(
    tokens: int = 60_000,
    *,
    chance: int = 24,
    missed: float = 0.1,
    spurious: float = 0.05,
    kinds: Sequence[str] | None = None,
    seed: int = 0,
) -> Meanings:
    """Units with known meanings, and units without any.

    Args:
        tokens: of the text, about.
        chance: units that fire by chance.
        missed: share of the places of a meaning at which its unit is silent.
        spurious: share of its firings that stand at other places, drawn at random.
        kinds: of predicates; all by default.
    """
    table = Table(planted_text(tokens, seed))
    n, random = len(table.text), np.random.default_rng(seed + 1)
    below = [_by_chance(random, n, RATE) for _ in range(CHANCE)]
    words = dict(enumerate(table.text.pieces))
    lower = Held(table.text.kinds, table.text.documents, words, {LOWER: below})
    truth = [m for m in every_meaning() if kinds is None or m.kind in kinds]
    rows = [_planted(random, m.rule, table, lower, missed, spurious) for m in truth]
    rows += [_by_chance(random, n, float(rate)) for rate in np.geomspace(0.001, 0.05, chance)] if chance else []
    truth += [Meaning("chance", Rule(())) for _ in range(chance)]
    firings = Held(table.text.kinds, table.text.documents, words, {LOWER: below, UPPER: rows})
    return Meanings(table, firings, tuple(truth))


def _by_chance(random: np.random.Generator, n: int, rate: float) -> Fired:
    place = np.flatnonzero(random.random(n) < rate)
    return Fired(place, random.lognormal(0, 0.5, len(place)))


def _planted(
    random: np.random.Generator, rule: Rule, table: Table, lower: Held, missed: float, spurious: float
) -> Fired:
    strength = rule(table, lower)
    place = np.flatnonzero((strength > 0) & (random.random(len(strength)) >= missed))
    value = strength[place] * random.lognormal(0, 0.3, len(place))
    others = np.setdiff1d(random.integers(0, len(strength), int(spurious * len(place))), np.flatnonzero(strength > 0))
    return Fired(np.concatenate([place, others]), np.concatenate([value, random.lognormal(0, 0.3, len(others))]))


# The meanings.

EVERY = """
word        word: the
word        word: but
word        word: doctor | guest
word        word: is | are | were
word        word: old | red | went
token       token:  The
token       token: ,
class       class: subject pronouns
class       class: modal verbs
class       class: days of the week
class       class: months
class       class: countries
class       class: names of women
class       class: plural nouns for people
class       class: verbs in the past tense
class       class: number words
class       class: colors
class       class: question words
class       class: German function words
class       class: code keywords
ending      suffix: ing
ending      suffix: s
ending      suffix: ed
ending      suffix: er
ending      suffix: tion
beginning   prefix: un
beginning   prefix: re
beginning   prefix: ca
beginning   prefix: w
case        case: words in capitals
case        case: capitalised words
digits      digits: numbers
digits      digits: numbers of 4 digits
digits      digits: tokens with a digit
marks       punctuation: marks that end a sentence
marks       punctuation: quotation marks
marks       punctuation: opening brackets
marks       punctuation: punctuation
script      script: words in Cyrillic script
script      script: words in Greek script
script      script: words with a letter outside a to z
shape       shape: tokens without a blank before them
shape       shape: words of eight letters or more
shape       shape: line breaks
before      word @ 1 before: the
before      class @ 1 before: prepositions
before      suffix @ 1 before: ly
before      digits @ 1 before: numbers
before      case @ 1 before: words in capitals
before      word @ 2 before: and
before      class @ 2 before: names of men
before      word @ 3 before: because
nearby      word @ nearby: however
nearby      word @ nearby: doctor
echo        word @ after its last occurrence: said
echo        class @ after its last occurrence: colors
place       place: at the start of a document
place       place: at the start of a line
place       place: at the start of a sentence
place       place: inside quotation marks
place       place: inside brackets
place       place: continuing a pair of tokens met before
place       place: equal to the token before
together    suffix: s & word @ 1 before: the
together    class: plural nouns for people & class @ 1 before: number words
together    class: articles & suffix @ 1 before: ing
together    case: capitalised words & class @ 1 before: titles
together    class: verbs in the past tense & place: inside quotation marks
together    digits: numbers & place: inside brackets
together    class: subject pronouns & place: at the start of a sentence
together    word: the & class @ 1 before: prepositions
together    suffix: ing & class @ 1 before: forms of 'be'
not         word: the & not place: at the start of a sentence
not         suffix: s & not class: plural nouns for people
not         case: capitalised words & not place: at the start of a sentence
or          class: months = 1.5; digits: numbers of 4 digits
or          class: modal verbs; suffix: ing
or          word: and; word @ 1 before: the & class: plural nouns for people = 1.5
above all   class: plural nouns for people & word @ 1 before: the = 3; class: plural nouns for people
above all   suffix: ing & place: inside quotation marks = 3; suffix: ing
distracted  class: modal verbs; word: door | park | letter = 0.2
distracted  suffix: ing; prefix: ca = 0.15
distracted  class: months; class: days of the week = 0.15
distracted  word: the & class @ 1 before: prepositions; word: the = 0.1
distracted  class: names of women; class: names of men = 0.1
units       unit @ 1 before: resid.1/0
units       unit @ 2 before: resid.1/1
units       unit: resid.1/2
units       unit @ 3 before: resid.1/3
units       unit: resid.1/4 & case: words in lower case
units       unit @ 1 before: resid.1/5; class: months
"""
"""A kind and a meaning a line: clauses apart by `;` with their strengths if not 1, predicates by `&`, values by `|`."""


def every_meaning() -> list[Meaning]:
    """Every kind of predicate several times, alone, together, and with what looks alike."""
    return [Meaning(line[:12].strip(), _rule(line[12:])) for line in EVERY.strip().split("\n")]


def _rule(line: str) -> Rule:
    return Rule(tuple(_clause(*clause.partition(" = ")) for clause in line.split("; ")))


def _clause(line: str, equals: str, strength: str) -> Clause:
    return Clause(tuple(map(_predicate, line.split(" & "))), float(strength or 1))


def _predicate(said: str) -> Predicate:
    head, _, values = said.partition(": ")
    family, _, at = head.removeprefix("not ").partition(" @ ")
    return Predicate(family, tuple(values.split(" | ")), at or HERE, head.startswith("not "))


# The text.

ADVERBS = "slowly quickly quietly gladly nearly rarely calmly boldly".split()
ACTIONS = "running walking reading singing painting cooking waiting talking building watching".split()
ABSTRACT = "nation station motion question tradition election attention reaction fiction position".split()
UN = "unhappy unfair unknown unlucky unusual unable under until uncle".split()
RE = "return remain repeat reply report remove recent red ready".split()
PROPER = "NATO BBC USA FBI NASA UNESCO".split()
GERMAN = "der Mann und die Frau ist nicht mit dem Hund auf das Haus für eine Straße".split()
CYRILLIC = "он был дома и она тоже не знала где мой старый друг".split()
GREEK = "ο και η είναι στο σπίτι μου".split()
ADJECTIVES = [word for pair in ANTONYMS[:30] for word in pair]
COLORS = "red green blue white black yellow brown".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April June July August September October November December".split()
COUNTED = "two three four five seven ten twenty hundred".split()
PREPOSITIONS = "in on at with from near behind under over after before".split()
LANDS = [country for country, *_ in COUNTRIES[:20]]
TITLES = "Mr Mrs Dr Captain Professor".split()


class _Writer:
    """Writes sentences; every choice is drawn."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def one(self, words: Sequence[str]) -> str:
        """A word, the first ones more often."""
        return words[min(int(self.random.exponential(len(words) / 3)), len(words) - 1)]

    def even(self, words: Sequence[str]) -> str:
        return words[int(self.random.integers(len(words)))]

    def chance(self, p: float) -> bool:
        return bool(self.random.random() < p)

    def person(self) -> list[str]:
        if self.chance(0.35):
            name = self.even(MEN[:20] if self.chance(0.5) else WOMEN[:20])
            return [self.even(TITLES), name] if self.chance(0.3) else [name]
        if self.chance(0.25):
            return [self.even("he she they we I you it".split())]
        return self.noun(list(PEOPLE), list(PEOPLE.values()))

    def noun(self, singular: list[str], plural: list[str]) -> list[str]:
        i = min(int(self.random.exponential(len(singular) / 4)), len(singular) - 1)
        if self.chance(0.4):
            return [self.even(["the", "some", "many", *COUNTED]), plural[i]]
        middle = [self.even([*ADJECTIVES, *COLORS, *UN[:6]])] if self.chance(0.4) else []
        return [self.even(["the", "a", "this", "every", "my", "the"]), *middle, singular[i]]

    def thing(self) -> list[str]:
        return [self.even(ABSTRACT)] if self.chance(0.15) else self.noun(list(THINGS), list(THINGS.values()))

    def verb(self) -> list[str]:
        if self.chance(0.25):
            return [self.even("is was were are".split()), self.even(ACTIONS)]
        if self.chance(0.2):
            return [self.even("can could will would must may".split()), self.even([v for v, _ in VERBS[:30]])]
        adverb = [self.even(ADVERBS)] if self.chance(0.3) else []
        return [*adverb, self.even([past for _, past in VERBS[:60]])]

    def clause(self) -> list[str]:
        words = [*self.person(), *self.verb(), *self.thing()]
        if self.chance(0.5):
            place = (
                ["the", self.even(PLACES)]
                if self.chance(0.6)
                else [self.even([c for c, *_ in COUNTRIES[:20] if " " not in c])]
            )
            words += [self.even(PREPOSITIONS), *place]
        if self.chance(0.15):
            words += ["on", self.even(DAYS)] if self.chance(0.5) else ["in", self.even(MONTHS)]
        if self.chance(0.1):
            words += ["in", str(int(self.random.integers(1200, 2030)))]
        if self.chance(0.08):
            words += ["and", *self.person()]
        if self.chance(0.06):
            words += [self.even(RE)]
        return words

    def sentence(self) -> list[str]:
        words = self.clause()
        draw = self.random.random()
        if draw < 0.12:
            words += [",", self.even("but and so".split()), *self.clause()]
        elif draw < 0.2:
            words += ["because", *self.clause()]
        elif draw < 0.27:
            words = [self.even("however therefore meanwhile instead".split()), ",", *words]
        elif draw < 0.33:
            inside = [self.even(PROPER), "and", self.even(PROPER)]
            if self.chance(0.5):
                inside = [str(int(self.random.integers(2, 400)))]
            words += ["(", *inside, *(self.thing() if self.chance(0.4) else []), ")"]
        elif draw < 0.43:
            words = ['"', *words, ",", '"', "said", *self.person()]
        elif draw < 0.46:
            words += ["with", "the", self.even(PROPER), self.even(ACTIONS), "a2", self.even("B52 x7 q10".split())]
        elif draw < 0.5:
            words += [words[-1]] if words[-1].isalpha() else []
        elif draw < 0.54:
            words = [self.even("who what why when where".split()), *words[:6]]
            return [words[0].capitalize(), *words[1:], "?"]
        first = next((i for i, w in enumerate(words) if w[0].isalpha()), 0)
        words[first] = words[first][0].upper() + words[first][1:]
        return [*words, "!" if self.chance(0.1) else "."]

    def odd(self) -> list[str]:
        """A line in another language, or of code."""
        i = int(self.random.integers(5))
        if i == 4:
            return ["def", self.even(ACTIONS), "(", "self", ")", ":", "return", self.even(["true", "None", "x"])]
        words = (GERMAN, CYRILLIC, GREEK, GERMAN)[i]
        start = int(self.random.integers(len(words)))
        return [*words[start:], *words[:start], "."]

    def document(self) -> list[list[str]]:
        """Sentences, of which some come again."""
        done: list[list[str]] = []
        for _ in range(int(self.random.integers(5, 14))):
            if done and self.chance(0.1):
                done.append(done[int(self.random.integers(len(done)))])
            else:
                done.append(self.odd() if self.chance(0.08) else self.sentence())
        return done


def planted_text(tokens: int, seed: int = 0) -> Tokenised:
    """Documents of a few sentences each; long words are two tokens, and some sentences end a line."""
    writer, documents, total = _Writer(seed), list[list[str]](), 0
    while total < tokens:
        pieces: list[str] = []
        for sentence in writer.document():
            for word in sentence:
                pieces += _cut(word if _glued(word, pieces[-1:]) else f" {word}")
            if writer.chance(0.25):
                pieces.append("\n")
        documents.append(pieces)
        total += len(pieces)
    return Tokenised.of(documents)


def _glued(word: str, before: Sequence[str]) -> bool:
    """Whether no blank stands before a word."""
    return not before or before[0] in ("\n", "(", " (") or not (word[0].isalnum() or word in '("')


def _cut(piece: str) -> list[str]:
    """A word of ten letters or more in two tokens."""
    return [piece[:5], piece[5:]] if len(piece.strip()) >= 10 else [piece]
