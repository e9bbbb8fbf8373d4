import numpy as np
import pytest

from clew.circuits.selection.connected import connected
from tests.circuits.selection.graphs import component_circuit, edges, node_circuit, view_circuit


def only(circuit, *wanted: str):
    """The circuit of these edges, written "source target"."""
    ends = [*(node.address for node in circuit), "metric"]
    names = [f"{ends[s]} {ends[t]}" for s, t in zip(circuit.source, circuit.target, strict=True)]
    assert set(wanted) <= set(names)
    return circuit.keep_edges(np.isin(names, wanted))


def test_an_edge_of_a_lens_that_leads_nowhere_goes_with_what_led_to_it():
    # 0 -> 1 -> 2 ends in nothing; 3 -> metric starts of itself.
    kept = connected(view_circuit([(0, 1, 1), (1, 2, 1), (3, -1, 1)]))
    assert edges(kept) == {("resid.3/0", "metric")} and len(kept) == 1


def test_a_component_path_runs_from_the_embedding_through_readers_and_writers():
    whole = component_circuit(2, 2)
    path = ["embed/0 v.0/1", "head.0/1 mlp_in.1/0", "mlp.1/0 metric"]
    kept = connected(only(whole, *path, "head.0/0 metric", "embed/0 q.1/0"))
    assert edges(kept) == {tuple(edge.split()) for edge in path}
    assert {n.address for n in kept} == {"embed/0", "v.0/1", "head.0/1", "mlp_in.1/0", "mlp.1/0"}


def test_a_path_cut_at_either_end_leaves_nothing():
    whole = component_circuit(2, 2)
    for path in (["embed/0 q.0/0", "head.0/0 q.1/0"], ["head.0/0 q.1/0", "head.1/0 metric"]):
        assert len(connected(only(whole, *path)).weight) == 0


def test_a_shared_key_value_head_serves_every_head_of_its_group_and_no_other():
    whole = component_circuit(1, 4, kv=2)
    served = connected(only(whole, "embed/0 k.0/1", *(f"head.0/{h} metric" for h in range(4))))
    assert edges(served) == {("embed/0", "k.0/1"), ("head.0/2", "metric"), ("head.0/3", "metric")}


def test_the_whole_graph_is_connected_and_so_is_what_is_left():
    whole = component_circuit(6, 3, sparse=0.8, seed=3)
    assert len(connected(component_circuit(3, 2)).weight) == len(component_circuit(3, 2).weight)
    once = connected(whole)
    assert 0 < len(once.weight) < len(whole.weight)
    assert edges(connected(once)) == edges(once)


def test_a_circuit_without_edges_is_refused():
    with pytest.raises(ValueError, match=r"it with clew\.methods\.edges"):
        connected(node_circuit([1.0]))
