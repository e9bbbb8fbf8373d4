import numpy as np
import pytest

from clew.data.predicates import Rule
from clew.explain.scorers.intruder import intruder
from tests.explain.known import truth, unit, unseen
from tests.explain.reader import garbled, perfect
from tests.readings.asking.scripted import scripted

ADDRESS = unit("months")


def rows(asks, **options):
    found = intruder(truth(ADDRESS), unseen(), ADDRESS, asks=asks, **options)
    return {(row.measure, row.of): row for row in found}


def test_one_who_sees_what_the_unit_sees_finds_the_intruder():
    found = rows(perfect())  # in whose eyes a text in which a stray firing is has no month, either
    assert found["intruder accuracy", "unit"].value > 0.7 and found["intruder accuracy", "unit"].low > 0.5
    assert found["intruder accuracy", "chance"].value == 0.2 and found["intruder unread", "answers"].value == 0


def test_one_who_guesses_is_right_as_often_as_chance():
    draw = np.random.default_rng(0)
    asks = [scripted(lambda q: str(draw.integers(1, 5))) for _ in range(8)]
    found = [rows(one, windows=400, texts=4, seed=i)["intruder accuracy", "unit"].value for i, one in enumerate(asks)]
    assert abs(np.mean(found) - 0.25) < 0.05


def test_one_who_always_says_the_same_is_no_better():
    found = rows(scripted(lambda q: "1"), windows=400)["intruder accuracy", "unit"]
    assert abs(found.value - 0.2) < 0.1


def test_an_answer_that_cannot_be_read_counts_as_a_guess():
    asks = garbled()
    found = rows(asks)
    assert (
        found["intruder accuracy", "unit"].value == pytest.approx(0.2)
        and found["intruder unread", "answers"].value == 1
    )
    assert asks.count.unread == 20


def test_a_unit_that_hardly_fires_has_no_row_and_two_texts_are_the_least():
    assert intruder(Rule((), side=-1), unseen(), ADDRESS, asks=garbled()) == ()
    with pytest.raises(ValueError, match="at least 2"):
        rows(garbled(), texts=1)
