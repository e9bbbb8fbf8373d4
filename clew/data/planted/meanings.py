"""Units whose meaning is known: a text of our own sentences, and units that fire where a given rule holds.

Beside them stand units that fire by chance and mean nothing. An explainer is marked by what it says of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from clew.data.predicates import Clause, Predicate, Rule, Table
from clew.data.predicates.before import ECHO, HERE, NEARBY
from clew.data.predicates.predicate import PLACE, UNIT
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
    lower = Held(np.asarray(table.text.kinds), table.text.documents, {LOWER: below})
    truth = [m for m in every_meaning() if kinds is None or m.kind in kinds]
    rows = [_planted(random, m.rule, table, lower, missed, spurious) for m in truth]
    rows += [_by_chance(random, n, float(rate)) for rate in np.geomspace(0.001, 0.05, chance)] if chance else []
    truth += [Meaning("chance", Rule(())) for _ in range(chance)]
    firings = Held(np.asarray(table.text.kinds), table.text.documents, {LOWER: below, UPPER: rows})
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


def _p(family: str, *values: str, at: str = HERE, negated: bool = False) -> Predicate:
    return Predicate(family, values, at, negated)


def _one(kind: str, *predicates: Predicate) -> Meaning:
    return Meaning(kind, Rule((Clause(predicates, 1.0),)))


def _several(kind: str, *clauses: tuple[tuple[Predicate, ...], float]) -> Meaning:
    return Meaning(kind, Rule(tuple(Clause(predicates, strength) for predicates, strength in clauses)))


def every_meaning() -> list[Meaning]:
    """Every kind of predicate several times, alone, together, and with what looks alike."""
    word, token, of = "word", "token", "class"
    return [
        _one("word", _p(word, "the")),
        _one("word", _p(word, "but")),
        _one("word", _p(word, "doctor")),
        _one("word", _p(word, "is", "are", "were")),
        _one("word", _p(word, "old", "red", "went")),
        _one("token", _p(token, " The")),
        _one("token", _p(token, ",")),
        _one("class", _p(of, "subject pronouns")),
        _one("class", _p(of, "modal verbs")),
        _one("class", _p(of, "days of the week")),
        _one("class", _p(of, "months")),
        _one("class", _p(of, "countries")),
        _one("class", _p(of, "names of women")),
        _one("class", _p(of, "plural nouns for people")),
        _one("class", _p(of, "verbs in the past tense")),
        _one("class", _p(of, "number words")),
        _one("class", _p(of, "colors")),
        _one("class", _p(of, "question words")),
        _one("class", _p(of, "German function words")),
        _one("class", _p(of, "code keywords")),
        _one("suffix", _p("suffix", "ing")),
        _one("suffix", _p("suffix", "s")),
        _one("suffix", _p("suffix", "ed")),
        _one("suffix", _p("suffix", "er")),
        _one("suffix", _p("suffix", "tion")),
        _one("prefix", _p("prefix", "un")),
        _one("prefix", _p("prefix", "re")),
        _one("prefix", _p("prefix", "ca")),
        _one("prefix", _p("prefix", "w")),
        _one("case", _p("case", "words in capitals")),
        _one("case", _p("case", "capitalised words")),
        _one("digits", _p("digits", "numbers")),
        _one("digits", _p("digits", "numbers of 4 digits")),
        _one("digits", _p("digits", "tokens with a digit")),
        _one("punctuation", _p("punctuation", "marks that end a sentence")),
        _one("punctuation", _p("punctuation", "quotation marks")),
        _one("punctuation", _p("punctuation", "opening brackets")),
        _one("punctuation", _p("punctuation", "punctuation")),
        _one("script", _p("script", "words in Cyrillic script")),
        _one("script", _p("script", "words in Greek script")),
        _one("script", _p("script", "words with a letter outside a to z")),
        _one("shape", _p("shape", "tokens without a blank before them")),
        _one("shape", _p("shape", "words of eight letters or more")),
        _one("shape", _p("shape", "line breaks")),
        _one("before", _p(word, "the", at="1 before")),
        _one("before", _p(of, "prepositions", at="1 before")),
        _one("before", _p("suffix", "ly", at="1 before")),
        _one("before", _p("digits", "numbers", at="1 before")),
        _one("before", _p("case", "words in capitals", at="1 before")),
        _one("before", _p(word, "and", at="2 before")),
        _one("before", _p(of, "names of men", at="2 before")),
        _one("before", _p(word, "because", at="3 before")),
        _one("nearby", _p(word, "however", at=NEARBY)),
        _one("nearby", _p(word, "doctor", at=NEARBY)),
        _one("echo", _p(word, "said", at=ECHO)),
        _one("echo", _p(of, "colors", at=ECHO)),
        _one("place", _p(PLACE, "at the start of a document")),
        _one("place", _p(PLACE, "at the start of a line")),
        _one("place", _p(PLACE, "at the start of a sentence")),
        _one("place", _p(PLACE, "inside quotation marks")),
        _one("place", _p(PLACE, "inside brackets")),
        _one("place", _p(PLACE, "continuing a pair of tokens met before")),
        _one("place", _p(PLACE, "equal to the token before")),
        _one("together", _p("suffix", "s"), _p(word, "the", at="1 before")),
        _one("together", _p(of, "plural nouns for people"), _p(of, "number words", at="1 before")),
        _one("together", _p(word, "and"), _p(of, "names of women", at="1 before")),
        _one("together", _p("case", "capitalised words"), _p(of, "titles", at="1 before")),
        _one("together", _p(of, "verbs in the past tense"), _p(PLACE, "inside quotation marks")),
        _one("together", _p("digits", "numbers"), _p(PLACE, "inside brackets")),
        _one("together", _p(of, "subject pronouns"), _p(PLACE, "at the start of a sentence")),
        _one("together", _p(word, "the"), _p(of, "prepositions", at="1 before")),
        _one("together", _p("suffix", "ing"), _p(of, "forms of 'be'", at="1 before")),
        _one("not", _p(word, "the"), _p(PLACE, "at the start of a sentence", negated=True)),
        _one("not", _p("suffix", "s"), _p(of, "plural nouns for people", negated=True)),
        _one("not", _p("case", "capitalised words"), _p(PLACE, "at the start of a sentence", negated=True)),
        _several("or", ((_p(of, "months"),), 1.5), ((_p("digits", "numbers of 4 digits"),), 1.0)),
        _several("or", ((_p(of, "modal verbs"),), 1.0), ((_p("suffix", "ing"),), 1.0)),
        _several("or", ((_p(word, "and"),), 1.0), ((_p(word, "the", at="1 before"), _p(of, "plural nouns for people")), 1.5)),
        _several("above all", ((_p(of, "plural nouns for people"), _p(word, "the", at="1 before")), 3.0),
                 ((_p(of, "plural nouns for people"),), 1.0)),
        _several("above all", ((_p("suffix", "ing"), _p(PLACE, "inside quotation marks")), 3.0), ((_p("suffix", "ing"),), 1.0)),
        _one("units", _p(UNIT, f"{LOWER}/0", at="1 before")),
        _one("units", _p(UNIT, f"{LOWER}/1", at="2 before")),
        _one("units", _p(UNIT, f"{LOWER}/2")),
        _one("units", _p(UNIT, f"{LOWER}/3", at="3 before")),
        _one("units", _p(UNIT, f"{LOWER}/4"), _p("case", "words in lower case")),
        _several("units", ((_p(UNIT, f"{LOWER}/5", at="1 before"),), 1.0), ((_p(of, "months"),), 1.0)),
    ]  # fmt: skip


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
            place = ["the", self.even(PLACES)] if self.chance(0.6) else [self.even([c for c, *_ in COUNTRIES[:20] if " " not in c])]
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
            inside = [str(int(self.random.integers(2, 400)))] if self.chance(0.5) else [self.even(PROPER), "and", self.even(PROPER)]
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
            again = done and self.chance(0.1)
            done.append(self.even(done) if again else self.odd() if self.chance(0.08) else self.sentence())  # pyright: ignore[reportArgumentType, reportCallIssue]
        return done


def planted_text(tokens: int, seed: int = 0) -> Tokenised:
    """Documents of a few sentences each; long words are two tokens, and some sentences end a line."""
    writer, documents, total = _Writer(seed), list[list[str]](), 0
    while total < tokens:
        pieces: list[str] = []
        for sentence in writer.document():
            for i, word in enumerate(sentence):
                glued = not pieces or pieces[-1] == "\n" or (not word[0].isalnum() and word not in '("') or pieces[-1].strip() == "("
                pieces += _cut(word if glued else f" {word}")
            if writer.chance(0.25):
                pieces.append("\n")
        documents.append(pieces)
        total += len(pieces)
    return Tokenised.of(documents)


def _cut(piece: str) -> list[str]:
    """A word of ten letters or more in two tokens."""
    return [piece[:5], piece[5:]] if len(piece.strip()) >= 10 else [piece]
