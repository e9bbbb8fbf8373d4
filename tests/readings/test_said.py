import numpy as np
import pytest

from clew.readings.said import UNKNOWN, Said
from clew.statistics.resampling import balanced_accuracy, resampled

ONE = Said(np.array([0.9, 0.5, 0.1]), np.array([1.0, UNKNOWN, 0.0]), np.array([True, False, True]))


def test_the_share_that_could_not_be_read_is_a_row_of_its_own():
    (row,) = ONE.unread("detection unread", resampled(np.arange(3)))
    assert (row.measure, row.of, row.value, row.examples) == ("detection unread", "answers", pytest.approx(1 / 3), 3)
    assert Said(ONE.score, ONE.fires).unread("x", resampled(np.arange(3))) == ()


def test_some_of_it():
    assert ONE[np.array([0, 2])].read.all() and ONE[1:].score.tolist() == [0.5, 0.1]


def test_what_is_not_known_is_half_right():
    positive = np.array([True, True, False])
    assert balanced_accuracy(ONE.fires, positive, np.ones((1, 3)))[0] == pytest.approx((0.75 + 1) / 2)
    assert balanced_accuracy(np.full(3, UNKNOWN), positive, np.ones((1, 3)))[0] == 0.5
