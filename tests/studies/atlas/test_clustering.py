import numpy as np
import pytest

from clew.studies.atlas.clustering import Clustering, clustered
from tests.studies.atlas.test_clusters import planted


def test_the_number_of_clusters_is_the_one_on_which_samples_agree_and_the_largest_is_0(tmp_path):
    x, which = planted(n=120, k=4)
    x, which = x[np.r_[0:120, 0:120:4]], which[np.r_[0:120, 0:120:4]]  # more of the first kind
    found = clustered(x, [2, 3, 4, 6, 8])
    assert found.k == 4 and found.stability[4] == pytest.approx(1.0) == max(found.stability.values())
    assert set(which[found.members(0)]) == {0} and len(found.members(0)) == 60
    again = Clustering.load(found.save(tmp_path / "c.safetensors"))
    assert np.array_equal(again.which, found.which) and again.stability == found.stability


def test_one_number_is_taken_as_it_is():
    found = clustered(planted()[0], 5)
    assert found.k == 5 and found.stability == {}


@pytest.mark.parametrize("k", [1, 25, (), (3, 40)])
def test_numbers_that_there_cannot_be_are_refused(k):
    with pytest.raises(ValueError, match="60 contexts can be put into 2 to 24 clusters"):
        clustered(planted()[0], k)


def test_vectors_are_finite():
    x, _ = planted()
    x[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        clustered(x, 3)
