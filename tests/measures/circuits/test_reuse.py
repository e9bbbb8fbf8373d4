"""Reuse: overlap by hand, the null against the hypergeometric law, and circuits that do each other's work."""

from dataclasses import replace

import numpy as np
import pytest

import clew
from clew import Circuit
from clew.circuits.circuit import ERROR, OUTPUT
from clew.measures.circuits._overlap import chance_jaccard
from clew.measures.circuits.reuse import reuse, shared
from clew.sites import Site
from tests.planted import random_behaviour, tiny_model

A, B = Site("mlp", 0), Site("mlp", 1)


def nodes(first: list[int], second: list[int], units: int = 20, **more: object) -> Circuit:
    """These units of two sites; every node of the first site is wired to every node of the second, and those out."""
    unit = np.array([*first, *second])
    source, target = (e.reshape(-1) for e in np.mgrid[: len(first), len(first) : len(unit)])
    out = np.arange(len(first), len(unit))
    ends = {"source": np.concatenate([source, out]), "target": np.concatenate([target, out * 0 + OUTPUT])}
    site, score = np.repeat([0, 1], [len(first), len(second)]), 1.0 + np.arange(len(unit))
    wires = ends | {"weight": np.ones(len(ends["source"]))}
    return replace(Circuit((A, B), {A: units, B: units}, site, unit, unit * 0 - 1, score, score, **wires), **more)


def values(rows) -> dict[tuple[str, str], float]:
    return {(r.measure, r.of): r.value for r in rows}


def test_shared_nodes_and_edges_by_hand():
    found = values(shared(nodes([1, 2, 3], [5]), nodes([2, 3, 4], [5, 6]), draws=10))
    assert found["shared", "nodes"] == 3 and found["overlap", "nodes"] == 3 / 6
    assert found["shared", "edges"] == 3 and found["overlap", "edges"] == 3 / (4 + 8 - 3)  # 2-5, 3-5, 5-metric


def test_the_null_over_all_sites_is_hypergeometric():
    found = {(r.measure, r.of): r for r in shared(nodes([1, 2, 3], [5]), nodes([2, 3, 4], [5, 6]), draws=4000)}
    mean, low, high = chance_jaccard(4, 5, 40)
    row = found["chance overlap", "nodes, over all sites"]
    assert row.value == pytest.approx(mean, abs=0.005) and (row.low, row.high) == (low, high)
    p_of_three_or_more = 0.00388  # of 40 nodes, 4 and 5: (4 C(36,2) + 36) / C(40,5)
    assert found["p", "nodes, over all sites"].value == pytest.approx(p_of_three_or_more, abs=0.003)


def test_circuits_that_share_only_their_depth_share_nothing_within_it():
    found = values(shared(nodes([*range(18)], [0]), nodes([*range(2, 20)], [3]), draws=500))
    assert found["p", "nodes, over all sites"] < 0.01 and found["p", "nodes, within sites"] == 1


def test_a_circuit_beside_itself_is_far_from_chance():
    c = nodes([1, 2, 3], [5, 6, 7])
    found = values(shared(c, c, draws=200))
    assert found["overlap", "nodes"] == found["overlap", "edges"] == 1 and found["Spearman correlation", "nodes"] == 1
    assert all(v == pytest.approx(1 / 201) for (m, _), v in found.items() if m == "p")


def test_the_null_of_edges_is_that_of_their_ends():
    """One edge into the metric from one of 20 units: it is shared when the node is."""
    one = nodes([], [5])
    rows = {(r.measure, r.of): r for r in shared(one, one, draws=4000)}
    assert rows["chance overlap", "edges, within sites"].value == rows["chance overlap", "nodes, within sites"].value
    assert rows["p", "edges, within sites"].value == pytest.approx(1 / 20, abs=0.01)


def test_of_n_the_places_are_the_nodes_that_were_scored():
    one, two = nodes([1, 2, 3, 4], [5]), nodes([1, 2, 3, 4], [5])
    found = values(shared(one.keep(np.arange(5)), two, n=5, draws=50))
    assert found["chance overlap", "nodes, over all sites"] == 1 and found["p", "nodes, within sites"] == 1


def test_errors_and_positions_make_places():
    c = nodes([ERROR, 0], [], units=1, position=np.array([1, 1]))
    chance = values(shared(c, c, draws=4000))["chance overlap", "nodes, within sites"]
    assert chance == pytest.approx(chance_jaccard(2, 2, 4)[0], abs=0.02)  # a unit and an error, at two positions


def test_where_one_has_no_positions_units_are_compared():
    placed = nodes([1, 2], [], position=np.array([0, 3]))
    assert values(shared(placed, nodes([1, 2], []), draws=5))["overlap", "nodes"] == 1


def test_two_lenses_are_refused():
    one = nodes([1], [2])
    with pytest.raises(ValueError, match="mlp.0 through two dictionaries .20 and 9 units"):
        list(shared(one, replace(one, units={A: 9, B: 20})))
    made = [replace(one, provenance={"dictionaries": {"mlp.1": name}}) for name in "ab"]
    with pytest.raises(ValueError, match="mlp.1 through two dictionaries"):
        list(shared(*made))


def test_edges_beside_nodes_and_components_without_edges_are_refused():
    model, task = tiny_model("gpt2"), random_behaviour(n=6)
    edges = clew.find(model, task, by="eap").strongest_edges(20)
    heads = clew.find(model.components(), task, by="attribution_patching", positions=False)
    for pair in ((edges, heads), (heads, edges)):
        with pytest.raises(ValueError, match="of edges between components and the other of nodes"):
            list(shared(*pair))
    with pytest.raises(ValueError, match="nodes but no edges"):
        reuse(model, task, edges, other=edges.strongest_edges(0), other_behaviour=task, draws=5)


def test_a_behaviour_reuses_its_own_circuit_in_full():
    model, task = tiny_model("gpt2"), random_behaviour(n=6)
    circuit = clew.find(model, task, by="attribution_patching")  # all of them, which carry the whole behaviour
    report = clew.verify(model, task, circuit, by="reuse", other=circuit, other_behaviour=task, draws=20)
    rows = {(r.measure, r.of): r for r in report.rows}
    alone = clew.verify(model, task, circuit)["faithfulness"]
    for of in ("own circuit", "the other's circuit", "what both share"):
        assert rows["faithfulness", f"token ids, {of}"].value == pytest.approx(alone.value)
    assert report["reuse"].value == pytest.approx(1) == report["reuse"].low


def test_reuse_is_no_share_of_a_circuit_that_carries_nothing():
    """A ratio of two faithfulnesses around zero, or below it, can be any number."""
    model, task = tiny_model("gpt2"), random_behaviour(n=6)
    whole = clew.find(model, task, by="attribution_patching")
    report = clew.verify(model, task, whole.top(0), by="reuse", other=whole, other_behaviour=task, draws=5)
    rows = [r for r in report.rows if r.measure == "reuse"]
    assert np.isnan(rows[0].value) and rows[0].interval() == "" and rows[1].value == pytest.approx(0, abs=1e-9)
    assert sum("its own circuit cannot be told from one that carries nothing" in note for note in report.notes) == 1


def test_each_behaviour_is_judged_on_both_circuits():
    model, tasks = tiny_model("gpt2"), [replace(random_behaviour(n=6, seed=s), name=f"task {s}") for s in (1, 2)]
    one, two = (clew.find(model, t, by="attribution_patching") for t in tasks)
    report = reuse(model, tasks[0], one, other=two, other_behaviour=tasks[1], n=40, draws=20)
    got = values(report.rows)
    assert got["faithfulness", "task 1, the other's circuit"] == pytest.approx(
        clew.verify(model, tasks[0], two.top(40))["faithfulness"].value
    )
    assert got["faithfulness", "task 2, own circuit"] == pytest.approx(
        clew.verify(model, tasks[1], two.top(40))["faithfulness"].value
    )
    both = [r for r in report.rows if "what both share" in r.of]
    assert [r.nodes for r in both] == [got["shared", "nodes"]] * 2 and got["shared", "nodes"] < 40


def test_circuits_of_components_are_compared_and_judged_by_their_edges():
    model, task = tiny_model("gpt2"), random_behaviour(n=6)
    every = clew.find(model, task, by="eap")
    report = clew.verify(model, task, every, by="reuse", other=every, other_behaviour=task, n=20, draws=20)
    rows = {(r.measure, r.of): r for r in report.rows}
    assert rows["shared", "edges"].value == 20 and rows["shared", "nodes"].value < len(every)
    assert rows["faithfulness", "token ids, what both share"].unit == "edge"
    own = clew.verify(model, task, every.strongest_edges(20), by="faithfulness")["faithfulness"].value
    assert rows["faithfulness", "token ids, what both share"].value == pytest.approx(own)
