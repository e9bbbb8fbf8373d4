import numpy as np
import pytest

from clew.data.predicates import Rule
from clew.explain.scorers.simulation import simulation
from clew.readings.asking.prose import Prose
from clew.statistics.ranks import pearson
from tests.explain.known import known, truth, unit, unseen
from tests.explain.reader import garbled, perfect


def test_it_is_pearsons_over_all_unseen_tokens():
    address = unit("months")
    (row,) = simulation(truth(address), unseen(), address)
    assert row.of == "all"
    rows = unseen().rows
    by_hand = pearson(truth(address)(known().table)[rows], unseen().values(address, 1)[rows])
    assert row.value == pytest.approx(by_hand) and row.low < row.value < row.high and row.examples == len(rows)


def test_what_says_nothing_predicts_nothing():
    assert simulation(Rule(()), unseen(), unit("months"))[0].value == 0


def test_a_unit_that_does_not_fire_has_no_score():
    assert np.isnan(simulation(Rule((), side=-1), unseen(), unit("months"))[0].value)


def test_words_that_are_understood_predict_the_windows_that_are_asked_about():
    address = unit("months")
    r, unread = simulation(Prose("months", asks=perfect()), unseen(), address, windows=20)
    assert r.of == "windows"  # in half of which it fires, so that this r is not that of a rule
    assert r.value > 0.7 and unread.value == 0 and 20 * 32 <= r.examples <= 40 * 32
    assert simulation(Prose("modal verbs", asks=perfect()), unseen(), address, windows=20)[0].value < 0.2


def test_where_nothing_can_be_read_nothing_is_predicted():
    r, unread = simulation(Prose("months", asks=garbled()), unseen(), unit("months"), windows=8)
    assert r.value == 0 and unread.value == 1 and unread.examples == 16
