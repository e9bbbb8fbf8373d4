"""Tables that templates are filled with: what a template takes for granted of a table must be so of every word in it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from clew.data import words

PLURALS = {"PEOPLE": words.PEOPLE, "THINGS": words.THINGS}
LISTS = [name for name, value in vars(words).items() if name.isupper() and isinstance(value, list | tuple)]


def leaves(value: object) -> Iterator[str]:
    """Every word of a table, whatever it is nested in."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from leaves([*value.items()])
    else:
        assert isinstance(value, Iterable)
        for part in value:
            yield from leaves(part)


@pytest.mark.parametrize("name", [name for name in vars(words) if name.isupper()])
def test_words_are_words(name):
    """No digit, mark or stray space: verbs that follow a prompt alone begin with one space."""
    lead = " ?" if name == "SINGULAR_PLURAL_VERBS" else ""
    assert [
        word for word in leaves(vars(words)[name]) if not re.fullmatch(rf"{lead}[A-Za-z]+( [A-Za-z]+)*", word)
    ] == []


@pytest.mark.parametrize("name", LISTS)
def test_nothing_stands_in_a_table_twice(name):
    """Of rows the first column asks, so two rows with one would ask the same with two answers."""
    rows = [row if isinstance(row, str) else row[0] for row in vars(words)[name]]
    assert [row for row, times in Counter(rows).items() if times > 1] == []


@pytest.mark.parametrize("name", PLURALS)
def test_a_plural_tells_its_number_by_itself(name):
    singular, plural = set(PLURALS[name]), list(PLURALS[name].values())
    assert len(set(plural)) == len(plural) and not singular & set(plural)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (words.PEOPLE, words.THINGS),
        (words.MEN, words.WOMEN),
        (words.MALE_JOBS, words.FEMALE_JOBS),
        (words.MALE_RELATIVES, words.FEMALE_RELATIVES),
    ],
)
def test_who_is_told_apart_stands_on_one_side(one, other):
    assert not set(one) & set(other)


def test_relatives_are_parallel():
    pairs = dict(zip(words.MALE_RELATIVES, words.FEMALE_RELATIVES, strict=True))
    assert (pairs["king"], pairs["father"], pairs["waiter"]) == ("queen", "mother", "waitress")


def test_plurals_and_verbs_that_anyone_knows():
    assert (words.PEOPLE["nurse"], words.PEOPLE["man"], words.PEOPLE["lady"]) == ("nurses", "men", "ladies")
    assert (words.THINGS["lamp"], words.THINGS["knife"]) == ("lamps", "knives")
    assert all(singular == f"{plural}s" for plural, singular in words.VERBS_OF_FEELING)
    assert dict(words.SINGULAR_PLURAL_VERBS)[" is"] == " are"
    past = dict(words.VERBS)
    assert (past["write"], past["walk"]) == ("wrote", "walked") and not any(a == b for a, b in words.VERBS)


def test_facts_that_anyone_knows():
    capital = {country: (city, language, where) for country, city, language, where in words.COUNTRIES}
    assert capital["France"] == ("Paris", "French", "Europe") and capital["Kenya"][0] == "Nairobi"
    assert {where for *_, where in words.COUNTRIES} == {"Europe", "Asia", "Africa", "America"}
    assert dict(words.CURRENCIES)["Japan"] == "yen" and dict(words.CLASSES)["owl"] == "bird"
    assert len({city for _, city, _, _ in words.COUNTRIES}) == len(words.COUNTRIES)


def test_a_word_has_one_opposite():
    """A word in two pairs would be asked for with two answers, whichever half of a pair is drawn."""
    assert [word for word, times in Counter(leaves(words.ANTONYMS)).items() if times > 1] == []


def test_a_thing_has_one_color():
    things = " ".join(words.THINGS_BY_COLOR.values()).split()
    assert len(set(things)) == len(things) == len(words.COLOR_OF)
    assert (words.COLOR_OF["snow"], words.COLOR_OF["crow"]) == ("white", "black")
    assert not set(things) & set(words.THINGS_BY_COLOR), "a color that is also a thing"
