import heapq

import numpy as np
import pytest

from clew.circuits.circuit import OUTPUT, Circuit
from clew.circuits.selection._stations import structure
from clew.circuits.selection.connected import connected
from clew.circuits.selection.greedy import greedy
from clew.circuits.selection.top import top
from tests.circuits.selection.graphs import component_circuit, edges, view_circuit


def by_the_book(circuit: Circuit, n: int, signed: bool) -> set[float]:
    """Weights of the n edges, taken one at a time from a heap."""
    stations, there, heap, taken = structure(circuit), set(), [], set()

    def arrive(reader: int) -> None:
        if reader not in there:
            there.add(reader)
            for e in np.flatnonzero(circuit.target == reader):
                heapq.heappush(heap, (-(circuit.weight[e] if signed else abs(circuit.weight[e])), int(e)))

    arrive(OUTPUT)
    while heap and len(taken) < n:
        _, e = heapq.heappop(heap)
        taken.add(e)
        for reader in stations.reader[stations.writer == circuit.source[e]]:
            arrive(int(reader))
    return {float(circuit.weight[e]) for e in connected_part(circuit, taken)}


def connected_part(circuit: Circuit, taken: set[int]) -> np.ndarray:
    return structure(circuit).on_paths(circuit, np.array(sorted(taken), np.int64))


def test_the_strongest_edge_into_what_is_there():
    # 0 -> 1 is the strongest of all, but comes only after 1 is there, through the weak 1 -> metric.
    circuit = view_circuit([(0, 1, 9.0), (2, 3, 4.0), (3, -1, -2.0), (1, -1, 1.0)])
    assert [sorted(greedy(circuit, n).weight) for n in (1, 2, 3, 4)] == [
        [-2], [-2, 4], [-2, 1, 4], [-2, 1, 4, 9]
    ]  # fmt: skip
    assert sorted(greedy(circuit, 2, signed=True).weight) == [1, 9]


@pytest.mark.parametrize("signed", [False, True])
def test_it_takes_what_the_heap_takes(signed):
    for seed in range(15):
        circuit = component_circuit(4, 3, kv=1 + 2 * (seed % 2), seed=seed, sparse=0.3)
        for n in (0, 1, 5, 40, 150, 10_000):
            assert set(greedy(circuit, n, signed=signed).weight) == by_the_book(circuit, n, signed)


def test_a_circuit_of_a_lens_has_its_n_edges_and_is_connected():
    random = np.random.default_rng(0)
    pairs = [(s, t) for s in range(30) for t in (*range(s + 1, 30), -1)]
    circuit = view_circuit([(s, t, w) for (s, t), w in zip(pairs, random.standard_normal(len(pairs)), strict=True)], 30)
    for n in (1, 10, 200):
        kept = greedy(circuit, n)
        assert len(kept.weight) == n and edges(connected(kept)) == edges(kept)


def test_a_component_circuit_is_connected_where_the_top_ones_are_not():
    circuit = component_circuit(6, 4, seed=1)
    kept = greedy(circuit, 120)
    assert 0 < len(kept.weight) <= 120 and edges(connected(kept)) == edges(kept)
    assert len(connected(top(circuit, 120)).weight) < 120


def test_edges_that_never_reach_the_metric_are_never_taken():
    assert greedy(view_circuit([(0, 1, 9.0), (2, -1, 1.0)]), 2).weight.tolist() == [1]


def test_it_scales_to_a_large_model():
    circuit = component_circuit(30, 9, kv=3)
    assert len(circuit.weight) > 70_000
    assert 19_000 < len(greedy(circuit, 20_000).weight) <= 20_000
