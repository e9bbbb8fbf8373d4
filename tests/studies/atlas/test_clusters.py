import numpy as np
import pytest

from clew.finder import load, names
from clew.studies.atlas._sklearn import sklearn

ROOM = "studies.atlas.clusters"


def planted(n=60, k=3, d=20, noise=0.15, seed=0):
    """Directions around k others, at right angles; which is which."""
    rng = np.random.default_rng(seed)
    which = np.arange(n) % k
    x = np.eye(d)[which] + noise * rng.standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), which


@pytest.mark.parametrize("by", names(ROOM))
def test_planted_directions_are_found_again(by):
    x, which = planted()
    found = load(ROOM, by)(x, 3, seed=1)
    assert sklearn("metrics").adjusted_rand_score(which, found) == 1.0
    assert np.array_equal(found, load(ROOM, by)(x, 3, seed=1))


def test_length_says_nothing_and_opposites_are_two_for_spherical_k_means():
    x, which = planted()
    x = np.concatenate([x[which == 0], -x[which == 0]])
    found = load(ROOM, "spherical_kmeans")(x, 2)
    assert len(set(found[:20])) == len(set(found[20:])) == 1 and found[0] != found[20]


def test_no_cluster_is_left_empty():
    x = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)  # three points, four times each
    assert set(load(ROOM, "spherical_kmeans")(x, 5)) == set(range(5))


def test_spectral_says_where_the_table_of_pairs_is_too_large(monkeypatch):
    monkeypatch.setattr("clew.studies.atlas.clusters.spectral.MOST", 10)
    with pytest.raises(ValueError, match=r"60 contexts are more than 10; give fewer, or cluster by spherical_kmeans"):
        load(ROOM, "spectral")(planted()[0], 3)
