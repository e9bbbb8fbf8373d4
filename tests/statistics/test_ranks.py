"""Ranks and correlations by hand."""

import numpy as np
import pytest

from clew.statistics.ranks import pearson, ranks, spearman


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1, 3.5, 2]


def test_correlations_by_hand() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 5.0, 3.0])
    assert pearson(x, y) == pytest.approx(5 / np.sqrt(5 * 11))
    assert spearman(x, y) == pytest.approx(pearson(x, np.array([1.5, 1.5, 4.0, 3.0])))
    assert spearman(x, np.exp(x)) == pytest.approx(1) and spearman(x, -(x**3)) == pytest.approx(-1)
    ties = np.array([1.0, 2.0, 2.0, 100.0])
    assert spearman(ties, np.array([2.0, 1.0, 3.0, 4.0])) == pytest.approx(0.6324555320336759)  # scipy 1.17


@pytest.mark.parametrize("constant", [np.full(3, 0.1), np.ones(1), np.ones(0)])
def test_what_does_not_vary_has_no_correlation(constant: np.ndarray) -> None:
    other = np.arange(len(constant), dtype=float)
    assert all(np.isnan(f(*pair)) for f in (pearson, spearman) for pair in ((constant, other), (other, constant)))
