from dataclasses import replace

import numpy as np
import pytest

from clew.circuits.circuit import ERROR, Circuit
from clew.sites import Site
from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.entries import alike, coordinates


def circuit(scores):
    """Units of one site and its error node, which has the first score."""
    n = len(scores)
    unit = np.array([ERROR, *range(n - 1)])
    nodes = {"site": np.zeros(n, int), "unit": unit, "position": np.full(n, -1), "score": np.array(scores, float)}
    return Circuit((Site("resid", 1),), {Site("resid", 1): 9}, **nodes, patch_mean=np.zeros(n))


def test_circuits_that_are_nearly_one_are_joined_with_the_first_and_errors_say_nothing():
    held = {0: circuit([9, 1, 0, 0.1]), 1: circuit([0, 0, 1, 0]), 2: circuit([-9, 2, 0, 0.1]), 3: circuit([9, 1, 1, 0])}
    near, same = alike(held)
    assert same == {2: 0} and near[0][0][0] == 2 and near[0][0][1] == pytest.approx(0.9988, abs=1e-3)
    assert [k for k, _ in near[1]] == [3] and alike({0: held[0]}) == ({}, {})


def test_what_is_like_one_that_is_joined_is_not_joined_with_it():
    """0 is like 1 and 1 is like 2, but 2 is not like 0: chains do not make one of all."""
    held = {i: circuit([0, np.cos(a), np.sin(a)]) for i, a in enumerate((0.0, 0.4, 0.8))}
    assert alike(held)[1] == {1: 0}
    assert alike({k: replace(c) for k, c in held.items() if k})[1] == {2: 1}


def test_the_map_lies_between_minus_one_and_one():
    x = np.random.default_rng(0).standard_normal((30, 6)).astype(np.float32)
    at = coordinates(x, Clustering(np.arange(30) % 5))
    assert len(at) == 5 and max(abs(v) for pair in at for v in pair) == 1.0
