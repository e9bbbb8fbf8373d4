import numpy as np
import pytest

from clew.data.predicates import Rule
from clew.explain.scorers.simulation import simulation
from clew.statistics.ranks import pearson
from tests.explain.known import known, truth, unit, unseen


def test_it_is_pearsons_over_all_unseen_tokens():
    address = unit("months")
    (row,) = simulation(truth(address), unseen(), address)
    rows = unseen().rows
    by_hand = pearson(truth(address)(known().table)[rows], unseen().values(address, 1)[rows])
    assert row.value == pytest.approx(by_hand) and row.low < row.value < row.high and row.examples == len(rows)


def test_what_says_nothing_predicts_nothing():
    assert simulation(Rule(()), unseen(), unit("months"))[0].value == 0


def test_a_unit_that_does_not_fire_has_no_score():
    assert np.isnan(simulation(Rule((), side=-1), unseen(), unit("months"))[0].value)
