import sys
from itertools import combinations

import numpy as np
import pytest

from clew.circuits.selection._stations import structure
from clew.circuits.selection.bootstrap import bootstrap
from clew.circuits.selection.connected import connected
from clew.circuits.selection.greedy import greedy
from clew.circuits.selection.ilp import ilp
from tests.circuits.selection.graphs import component_circuit, edges, view_circuit


def best_of_all(circuit, n: int, signed: bool) -> float:
    """By trying every set of at most n edges."""
    stations, weight = structure(circuit), circuit.weight if signed else np.abs(circuit.weight)
    sets = (np.array(some, np.int64) for size in range(1, n + 1) for some in combinations(range(len(weight)), size))
    return max((weight[s].sum() for s in sets if len(stations.on_paths(circuit, s)) == len(s)), default=0.0)


def test_it_pays_for_a_weak_edge_that_opens_a_strong_one():
    circuit = view_circuit([(0, 1, 9.0), (2, 3, 4.0), (3, -1, -2.0), (1, -1, 1.0)])
    assert sorted(ilp(circuit, 2).weight) == [1, 9] and sorted(greedy(circuit, 2).weight) == [-2, 4]
    assert ilp(circuit, 2).details["ilp"] == {"kept": 10.0, "bound": pytest.approx(10.0), "gap": pytest.approx(0, abs=1e-9),
                                              "optimal": True}  # fmt: skip


@pytest.mark.parametrize("signed", [False, True])
def test_nothing_beats_it(signed):
    for seed in range(6):
        circuit = component_circuit(2, 2, kv=1 + seed % 2, seed=seed, sparse=0.55)
        circuit = circuit.keep_edges(np.arange(len(circuit.weight))[-13:])
        kept = ilp(circuit, 5, signed=signed)
        held = kept.weight.sum() if signed else np.abs(kept.weight).sum()
        assert held == pytest.approx(max(0, best_of_all(circuit, 5, signed)), abs=1e-9)


def test_it_holds_at_least_what_greedy_holds_on_a_hundred_graphs():
    better = 0
    for seed in range(100):
        circuit = component_circuit(2 + seed % 3, 2, kv=1 + seed % 2, seed=seed, sparse=0.2)
        n = 6 + seed % 10
        exact, grown = ilp(circuit, n), greedy(circuit, n)
        assert exact.details["ilp"]["optimal"] and len(exact.weight) <= n
        assert edges(connected(exact)) == edges(exact)
        gain = np.abs(exact.weight).sum() - np.abs(grown.weight).sum()
        assert gain >= -1e-9
        better += gain > 1e-9
    assert better > 50


def test_without_time_it_falls_back_on_greedy_and_says_so():
    circuit = component_circuit(8, 6, kv=2)
    kept = ilp(circuit, 300, time_limit=1e-3)
    assert np.abs(kept.weight).sum() >= np.abs(greedy(circuit, 300).weight).sum()
    assert not kept.details["ilp"]["optimal"]


def test_it_chooses_among_the_significant_ones():
    sure = np.array([0.1, 0.1, 0.1, 5.0])
    circuit = view_circuit([(0, 1, 9.0), (1, -1, 1.0), (3, -1, -2.0), (2, -1, 8.0)], weight_error=sure)
    assert sorted(ilp(bootstrap(circuit), 2).weight) == [1, 9]
    assert sorted(ilp(bootstrap(circuit), 1).weight) == [-2]


def test_the_details_are_plain_json(tmp_path):
    kept = ilp(component_circuit(2, 2), 8)
    assert type(kept).load(kept.save(tmp_path / "circuit.json")).details == kept.details


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"clew\[probes\]"):
        ilp(component_circuit(1, 1), 2)
