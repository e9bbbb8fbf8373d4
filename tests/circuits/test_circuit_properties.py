"""Choosing among the nodes and edges of random circuits, and their way to disk and back."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clew.circuits.circuit import OUTPUT, Circuit
from tests.drawn import circuits

SCORE = st.integers(-3, 3).map(float)
"""Few values, so that there are ties."""


def wires(circuit: Circuit) -> dict[tuple, float]:
    """The edges by both ends, as `diff` sees them."""
    ends = [*circuit.keys(), "metric"]
    return {(ends[s], ends[t]): w for s, t, w in circuit.edges}


def same(one: Circuit, two: Circuit) -> bool:
    """Whether the columns of nodes and edges are equal."""
    names = "site unit position score patch_mean score_error source target weight weight_error".split()
    return all(np.array_equal(getattr(one, n), getattr(two, n), equal_nan=True) for n in names)


@given(circuits(SCORE), st.integers(0, 9))
def test_top_is_the_strongest_in_order_and_grows_by_one(circuit, n):
    top, next = circuit.top(n), circuit.top(n + 1)
    sizes = np.abs(top.score)
    assert len(top) == min(n, len(circuit)) and sizes.tolist() == sorted(np.abs(circuit.score).tolist())[::-1][:n]
    assert next.keys()[: len(top)] == top.keys()
    for a, b in zip(top.keys(), top.keys()[1:], strict=False):
        tied = sizes[top.keys().index(a)] == sizes[top.keys().index(b)]
        assert not tied or circuit.keys().index(a) < circuit.keys().index(b)


@given(circuits(SCORE), st.data())
def test_what_is_kept_has_just_the_edges_between(circuit, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(circuit), max_size=len(circuit))), bool)
    kept = circuit.keep(mask)
    there = {*(key for key, on in zip(circuit.keys(), mask, strict=True) if on), "metric"}
    assert set(kept.keys()) | {"metric"} == there
    assert wires(kept) == {ends: w for ends, w in wires(circuit).items() if set(ends) <= there}
    order = np.array(data.draw(st.permutations(np.flatnonzero(mask).tolist())), np.int64)
    assert wires(circuit.keep(order)) == wires(kept) and set(circuit.keep(order).keys()) == set(kept.keys())


@given(circuits(SCORE), st.data())
def test_keeping_twice_is_keeping_once(circuit, data):
    n = len(circuit)
    one, two = (np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool) for _ in range(2))
    assert same(circuit.keep(one).keep(two[one]), circuit.keep(one & two))
    assert same(circuit.keep(np.ones(n, bool)), circuit)


@given(circuits(SCORE), st.integers(0, 3))
def test_above_is_a_threshold_and_edges_are_chosen_by_size(circuit, least):
    above = circuit.above(float(least))
    assert bool((np.abs(above.score) > least).all()) and len(above) == int((np.abs(circuit.score) > least).sum())
    strong = circuit.strongest_edges(least)
    left = sorted(abs(w) for ends, w in wires(circuit).items() if ends not in wires(strong))
    assert strong.keys() == circuit.keys() and len(strong.weight) == min(least, len(circuit.weight))
    assert not left or not len(strong.weight) or np.abs(strong.weight).min() >= left[-1]


@given(circuits(SCORE))
def test_wired_keeps_every_edge_and_just_the_nodes_at_their_ends(circuit):
    wired = circuit.wired()
    assert wires(wired) == wires(circuit) and same(wired.wired(), wired)
    assert set(wired.keys()) == {end for ends in wires(circuit) for end in ends} - {"metric"}
    assert bool(((wired.target == OUTPUT) | (wired.target > wired.source)).all())  # forward, as they were


@given(circuits(SCORE), circuits(SCORE))
def test_a_difference_parts_the_nodes_and_edges_of_both(one, two):
    found, back = one.diff(two), two.diff(one)
    assert set(found.shared) | set(found.only_first) == set(one.keys())
    assert set(found.shared) | set(found.only_second) == set(two.keys())
    assert len(found.shared_edges) + len(found.only_first_edges) == len(one.weight)
    assert (set(back.only_first), set(back.shared)) == (set(found.only_second), set(found.shared))
    assert 0 <= found.overlap <= 1 and found.overlap == back.overlap and one.diff(one).overlap == 1
    assert found.only_first == tuple(key for key in map(tuple, one.keys()) if key not in back.shared)


@given(circuits())
def test_a_circuit_comes_back_from_disk_to_the_bit(tmp_path, circuit):
    found = Circuit.load(circuit.save(tmp_path / "circuit.json"))
    assert same(found, circuit)
    assert np.signbit(found.score).tolist() == np.signbit(circuit.score).tolist()  # 0.0 and -0.0
    assert found.to_json() == circuit.to_json()
    assert replace(found, details={}, provenance={}).kind == circuit.kind
