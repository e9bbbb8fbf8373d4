"""Selections of random small graphs, held against paths that are walked one by one and against every choice there is."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clew.circuits.circuit import OUTPUT, Circuit
from clew.circuits.selection.bootstrap import bootstrap
from clew.circuits.selection.connected import connected
from clew.circuits.selection.greedy import greedy
from clew.circuits.selection.ilp import ilp
from clew.circuits.selection.ratio import ratio
from clew.circuits.selection.top import top
from clew.sites import READERS, Site
from tests.circuits.selection.graphs import component_circuit, edges, node_circuit
from tests.drawn import circuits

SCORE = st.integers(-4, 4).map(float)
LENS = circuits(SCORE).filter(lambda circuit: len(circuit.weight) > 0)
COMPONENTS = st.builds(
    component_circuit,
    st.just(1) | st.just(2),
    st.just(2),
    st.sampled_from([1, 2]),
    st.integers(0, 999),
    st.sampled_from([0.0, 0.5, 0.8]),
).filter(lambda circuit: len(circuit.weight) > 0)
GRAPHS = LENS | COMPONENTS


def reached(starts: set[int], arrows: set[tuple[int, int]]) -> set[int]:
    """Whatever can be walked to from the starts."""
    found, new = set(), set(starts)
    while new:
        found |= new
        new = {b for a, b in arrows if a in found} - found
    return found


def on_paths(circuit: Circuit, chosen: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the chosen edges on a path of them to the metric, from the embedding where the graph is of components."""
    nodes = list(circuit)
    arrows, roots = set(chosen), set(range(len(nodes)))
    if circuit.kind.by_edges:
        roots = {i for i, node in enumerate(nodes) if str(node.site) == "embed"}
        for i, reader in enumerate(nodes):
            for j, writer in enumerate(nodes):
                part = READERS.get(reader.site.part)
                shared = circuit.units[writer.site] // circuit.units[reader.site] or 1
                if part and writer.site == Site(part, reader.site.layer) and writer.unit // shared == reader.unit:
                    arrows.add((i, j))
    fed, used = reached(roots, arrows), reached({OUTPUT}, {(b, a) for a, b in arrows})
    return {(a, b) for a, b in chosen if a in fed and b in used}


def ends(circuit: Circuit) -> list[tuple[int, int]]:
    return list(zip(circuit.source.tolist(), circuit.target.tolist(), strict=True))


@given(GRAPHS)
def test_what_is_connected_is_what_can_be_walked(circuit):
    walked = on_paths(circuit, set(ends(circuit)))
    names = [*(node.address for node in circuit), "metric"]
    assert edges(connected(circuit)) == {(names[a], names[b]) for a, b in walked}


@given(GRAPHS, st.integers(0, 9), st.booleans())
def test_top_is_the_n_largest_and_grows_edge_by_edge(circuit, n, signed):
    found, more = top(circuit, n, signed=signed), top(circuit, n + 1, signed=signed)
    size = (lambda w: w) if signed else np.abs
    assert size(found.weight).tolist() == sorted(size(circuit.weight).tolist())[::-1][:n]
    assert edges(found) <= edges(more) <= edges(circuit)
    assert set(found.keys()) <= set(more.keys())


@given(GRAPHS, st.integers(0, 9), st.booleans())
def test_greedy_is_connected_no_larger_than_asked_and_grows(circuit, n, signed):
    found, more = greedy(circuit, n, signed=signed), greedy(circuit, n + 1, signed=signed)
    assert len(found.weight) <= n and edges(found) <= edges(more)
    assert on_paths(found, set(ends(found))) == set(ends(found))
    if not circuit.kind.by_edges:  # where every node is a start, whatever leads to the metric can be taken
        assert len(found.weight) == min(n, len(connected(circuit).weight))


@settings(max_examples=15)
@given(GRAPHS, st.integers(0, 6), st.booleans())
def test_ilp_is_connected_and_never_below_greedy(circuit, n, signed):
    pytest.importorskip("scipy")
    size = (lambda w: w) if signed else np.abs
    found = ilp(circuit, n, signed=signed)
    assert len(found.weight) <= n and on_paths(found, set(ends(found))) == set(ends(found))
    kept = size(found.weight).sum()
    assert kept >= size(greedy(circuit, n, signed=signed).weight).sum() - 1e-9
    assert found.details["ilp"]["kept"] == pytest.approx(kept) and found.details["ilp"]["bound"] >= kept - 1e-6


@settings(max_examples=10)
@given(st.integers(0, 999), st.sampled_from([0.0, 0.4]), st.integers(1, 5))
def test_ilp_is_the_best_of_every_choice(seed, sparse, n):
    pytest.importorskip("scipy")
    circuit = component_circuit(1, 1, seed=seed, sparse=sparse)
    assume(len(circuit.weight))
    weight = dict(zip(ends(circuit), np.abs(circuit.weight).tolist(), strict=True))
    choices = (set(some) for size in range(n + 1) for some in combinations(weight, size))
    best = max(sum(weight[edge] for edge in some) for some in choices if on_paths(circuit, some) == some)
    assert ilp(circuit, n).details["ilp"]["kept"] == pytest.approx(best)


@given(st.lists(SCORE, max_size=8), st.integers(0, 9), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_ratio_has_its_share_of_what_helps(score, n, rho):
    found = ratio(node_circuit(score), n, rho)
    helps = sorted((s for s in score if s > 0), reverse=True)[: int(n * rho)]
    assert len(found) == min(n, len(score)) and len({node.unit for node in found}) == len(found)
    assert found.score[: len(helps)].tolist() == helps
    assert rho or found.unit.tolist() == top(node_circuit(score), n).unit.tolist()


@given(st.lists(st.tuples(SCORE, st.floats(0.1, 3)), max_size=8), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_stricter_correction_keeps_fewer(items, confidence):
    circuit = node_circuit([s for s, _ in items], [e for _, e in items])
    kept = [
        set(bootstrap(circuit, confidence=confidence, correction=how).unit.tolist())
        for how in ("bonferroni", "holm", "fdr", "none")
    ]
    assert all(few <= many for few, many in pairwise(kept))
    assert not any(circuit.score[unit] == 0 for unit in kept[-1])
