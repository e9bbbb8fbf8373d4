import numpy as np
import pytest

from clew.statistics.ranks import pearson
from clew.statistics.resampling import auroc, balanced_accuracy, bounds, correlation, resampled

ONCE = np.ones((1, 4))
TWO = np.array([True, True, False, False])


def test_the_first_draw_is_all_once_and_groups_stay_together():
    weights = resampled(np.array([3, 5, 3, 7]), draws=50)
    assert weights.shape == (51, 4) and (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 2]).all() and (weights[:, [0, 1, 3]].sum(1) == 3).all()


def test_auroc_is_the_share_of_pairs_in_order():
    assert auroc(np.array([3.0, 1.0, 2.0, 0.0]), TWO, ONCE) == pytest.approx([0.75])
    assert auroc(np.array([1.0, 1.0, 1.0, 1.0]), TWO, ONCE) == pytest.approx([0.5])


def test_auroc_of_weights_is_that_of_copies():
    weights = np.array([[2.0, 1.0, 1.0, 3.0]])
    score = np.array([1.0, 3.0, 2.0, 1.0])
    copies = np.repeat(np.arange(4), [2, 1, 1, 3])
    assert auroc(score, TWO, weights) == pytest.approx(auroc(score[copies], TWO[copies], np.ones((1, 7))))


def test_balanced_accuracy_is_the_mean_of_both_shares():
    assert balanced_accuracy(np.array([True, False, False, False]), TWO, ONCE) == pytest.approx([0.75])


def test_there_is_none_where_one_side_is_missing():
    none = np.zeros(4, bool)
    assert np.isnan(auroc(np.arange(4.0), none, ONCE)).all() and np.isnan(balanced_accuracy(none, none, ONCE)).all()
    assert np.isnan(auroc(np.zeros(0), np.zeros(0, bool), np.ones((1, 0)))).all()


def test_correlation_by_sums_is_pearsons():
    random = np.random.default_rng(0)
    x = random.normal(size=60)
    y = x + random.normal(size=60)
    drawn = correlation(x, y, np.repeat(np.arange(12), 5), draws=300)
    assert drawn[0] == pytest.approx(pearson(x, y)) and len(drawn) == 301 and np.std(drawn) < 0.15
    assert np.isnan(correlation(np.ones(60), y, np.arange(60))).all()


def test_bounds_are_the_middle_of_the_draws():
    assert bounds(np.array([0.5, *np.linspace(0, 1, 101)])) == pytest.approx((0.5, 0.025, 0.975))
    assert np.isnan(bounds(np.array([0.5, np.nan, 0.2]))[1]) and np.isnan(bounds(np.array([np.nan, 1.0]))[0])
