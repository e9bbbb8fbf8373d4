import numpy as np
import pytest

from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.contexts import Contexts
from clew.studies.atlas.quality import qualities


def test_entropy_ngrams_and_silhouette_by_hand():
    given = Contexts.of([[1, 2, 5], [3, 2, 5], [4, 2, 5], [1, 7, 5], [1, 1, 1], [2, 2, 2]], [9, 9, 9, 8, 3, 4])
    x = np.array([[1, 0], [1, 0], [1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    one, two = qualities(given, Clustering(np.array([0, 0, 0, 0, 1, 1])), x)
    assert one.size == 4 and one.documents == 4 and one.silhouette == pytest.approx(1.0)
    assert one.entropy == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert one.ngrams == (0.75, 0.75, 0.75) and not one.trivial  # three of four end in 2 5 and go on with 9
    assert two.ngrams == (0.5, 0.5, 0.5) and two.entropy == pytest.approx(np.log(2))


def test_a_cluster_of_one_pair_of_tokens_is_trivial_and_one_member_has_no_silhouette():
    given = Contexts.of([[1, 5], [2, 5], [3, 5], [4, 4]], [9, 9, 9, 8])
    one, two = qualities(given, Clustering(np.array([0, 0, 0, 1])), np.eye(4, dtype=np.float32))
    assert one.trivial and one.entropy == 0.0 and one.ngrams == (1.0, 1.0, pytest.approx(1 / 3))
    assert np.isnan(two.silhouette)
