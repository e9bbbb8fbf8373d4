import numpy as np
import pytest

from clew import finder
from clew.circuits.selection.top import top
from tests.circuits.selection.graphs import component_circuit, edges, node_circuit, view_circuit

WIRED = [(0, 1, 0.5), (1, 2, -2.0), (2, -1, 1.0)]


def test_the_finder_knows_every_selection():
    assert finder.names("circuits.selection") == ["bootstrap", "connected", "greedy", "ilp", "ratio", "top"]
    assert finder.load("circuits.selection", "top") is top


def test_edges_by_absolute_and_by_signed_weight():
    circuit = view_circuit(WIRED)
    assert top(circuit, 2).weight.tolist() == [-2.0, 1.0]
    assert top(circuit, 2, signed=True).weight.tolist() == [1.0, 0.5]


def test_edges_bring_the_nodes_they_join_and_no_others():
    one = top(view_circuit(WIRED), 1)
    assert edges(one) == {("resid.1/0", "resid.2/0")} and one.score.tolist() == [1.0, 2.0]


def test_nodes_where_there_are_no_edges():
    circuit = node_circuit([0.5, -2.0, 1.0])
    assert top(circuit, 2).unit.tolist() == [1, 2]
    assert top(circuit, 2, signed=True).unit.tolist() == [2, 0]


def test_all_of_them_where_n_is_too_large_and_nothing_at_0():
    assert len(top(view_circuit(WIRED), 99).weight) == 3
    nothing = top(view_circuit(WIRED), 0)
    assert len(nothing) == len(nothing.weight) == 0


def test_of_many_edges_the_largest():
    circuit = component_circuit(10, 8)
    kept = top(circuit, 1000)
    assert np.abs(kept.weight).min() == np.sort(np.abs(circuit.weight))[-1000]


def test_a_budget_below_0_is_refused():
    with pytest.raises(ValueError, match="0 or more, not -1"):
        top(view_circuit(WIRED), -1)


def test_scores_that_are_nan_are_refused():
    with pytest.raises(ValueError, match=r"1 of 2 nodes have no score \(nan\)"):
        top(node_circuit([1.0, np.nan]), 1)
