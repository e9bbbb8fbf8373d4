import math

import numpy as np
import pytest

from clew.statistics.tests import binomial, holm, log_choose


def test_choosing_two_of_five_goes_in_ten_ways():
    assert math.exp(log_choose(5, 2)) == pytest.approx(10)


def test_three_fair_coins():
    np.testing.assert_allclose(binomial(3, 0.5), [1 / 8, 3 / 8, 3 / 8, 1 / 8])


def test_holm_multiplies_the_smallest_by_all_and_never_goes_down():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
