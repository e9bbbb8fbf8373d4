"""What a circuit predicts, against what happens: 1 where it must be, and the very numbers of an edited model."""

import numpy as np
import pytest
import torch

from clew.changes import Set
from clew.circuits.circuit import ERROR, Circuit
from clew.measures.circuits._edges import EdgeTrial
from clew.measures.circuits.predicted_effects import (
    Interventions,
    pearson,
    predicted_effects,
    slope,
    spearman,
    with_predicted_effects,
)
from clew.methods.edges.eap import eap
from clew.methods.edges.edges import edges
from clew.methods.graphs.attribution_graph import attribution_graph
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.nodes.exact_patching import exact_patching
from clew.models import Model
from clew.sites import Site
from tests.planted import random_behaviour, random_dictionary, tiny_model

TASK = random_behaviour(n=4)


def features(size: float = 1.0) -> Model:
    """A tiny model through autoencoders whose decoders are scaled by `size`."""
    model = tiny_model("llama", scale=0.15)
    made = [random_dictionary(f"{part}.{i}", 32) for i in range(3) for part in ("mlp", "resid")]
    for dictionary in made:
        dictionary.W_dec *= size
    return model.through(*made)


def transcoders() -> Model:
    model = tiny_model("llama", scale=0.15)
    return model.through(*(random_dictionary(f"mlp_in.{i}", 32, writes=f"mlp.{i}") for i in range(3)))


def test_statistics_by_hand():
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 5.0, 3.0])
    assert slope(x, y) == pytest.approx(1.0)  # 5 / 5
    assert pearson(x, y) == pytest.approx(5 / np.sqrt(5 * 11))
    assert spearman(x, y) == pytest.approx(pearson(x, np.array([1.5, 1.5, 4.0, 3.0])))
    assert np.isnan(pearson(x, np.ones(4))) and np.isnan(slope(np.ones(4), y))


def test_exact_effects_come_true():
    model = features()
    circuit = exact_patching(model, TASK, positions=True)
    report = predicted_effects(model, TASK, circuit, nodes=10, drawn=5, held_out=False)
    assert [(r.measure, r.nodes) for r in report.rows] == [("r", 15), ("slope", 15), ("spearman", 15)]
    assert [r.value for r in report.rows] == pytest.approx([1.0, 1.0, 1.0], abs=1e-9)


def test_of_small_changes_every_gradient_tells_the_truth():
    model = features(1e-4)
    nodes = attribution_patching(model, TASK)
    units = nodes.keep(nodes.unit != ERROR).top(40)
    report = predicted_effects(model, TASK, edges(model, TASK, units), held_out=False)
    assert [(r.of, r.nodes) for r in report.rows] == [("nodes", 20)] * 3 + [("edges", 20)] * 3
    assert [r.value for r in report.rows if r.measure != "spearman"] == pytest.approx([1.0] * 4, abs=1e-2)


def test_a_node_of_an_attribution_graph_is_tried_at_zero_on_the_graphs_prompt():
    model = transcoders()
    graph = attribution_graph(model, TASK, example=2)
    trial = Interventions(model, TASK._keep([2]), graph, None, 0)
    index = next(i for i, n in enumerate(graph) if n.site.part == "mlp" and n.unit != ERROR)
    (batch,) = TASK._keep([2]).batches(model)
    edited = model.run(batch.clean, edits=graph.keep(np.array([index])).zero())
    drop = TASK.metric(model.run(batch.clean), batch) - TASK.metric(edited, batch)
    assert trial.node(index) == pytest.approx(float(drop), abs=1e-12)
    report = predicted_effects(model, TASK, graph, nodes=6, edges=6)
    assert {r.of for r in report.rows} == {"nodes", "edges"} and all(r.examples == 1 for r in report.rows)


def test_an_edge_of_an_attribution_graph_is_what_the_target_loses_with_mlps_between_held():
    model = transcoders()
    graph = attribution_graph(model, TASK, node_threshold=1.0, edge_threshold=1.0)
    trial = Interventions(model, TASK._keep([0]), graph, None, 0)
    nodes = graph.nodes
    layers = [(nodes[s].site.layer, nodes[t].site.layer) for s, t in zip(graph.source, graph.target, strict=True)]
    edge = next(e for e, (s, t) in enumerate(layers) if (s, t) == (0, 2) and nodes[graph.source[e]].unit != ERROR)
    source, target = nodes[graph.source[edge]], nodes[graph.target[edge]]
    clean = model.run(torch.tensor([TASK.pairs[0].clean]), read=["mlp_in.2", "mlp.1", "mlp.2"])
    held = Set(Site("mlp", 1), value=clean["mlp.1"])
    out = graph.keep(np.array([graph.source[edge]])).zero()
    run = model.run(clean.tokens, read=["mlp_in.2", "mlp.2"], edits=[*out, held])
    lost = (clean.code("mlp.2") - run.code("mlp.2"))[0, target.position, target.unit]
    assert source.site.layer == 0
    assert trial.edge(edge) == pytest.approx(float(lost), abs=1e-12)


def test_an_edge_of_components_is_patched_alone():
    model = tiny_model("llama", scale=0.15)
    circuit = eap(model, TASK)
    report = predicted_effects(model, TASK, circuit, edges=3, held_out=False)
    trial, top = EdgeTrial(model, TASK), circuit.strongest_edges(3)
    drops = [trial.whole - trial.circuit_metric(top.keep_edges(np.array([i])), complement=True) for i in range(3)]
    assert report["slope"].value == pytest.approx(slope(top.weight, np.mean(drops, axis=1)), abs=1e-9)
    assert report["r"].of == "edges"


def test_r_and_slope_go_with_the_circuit(tmp_path):
    model = features()
    circuit = with_predicted_effects(model, TASK, attribution_patching(model, TASK), nodes=5)
    again = Circuit.load(circuit.save(tmp_path / "c.json")).details["predicted_effects"]
    assert again["nodes"] == 5 and -1 <= again["r"] <= 1 and isinstance(again["slope"], float)
    names, predicted, intervened = zip(*again["points"], strict=True)
    assert list(names) == [node.address for node in circuit.top(5)]
    assert pearson(np.array(predicted), np.array(intervened)) == pytest.approx(again["r"])


def test_points_of_component_edges_name_both_ends():
    model = tiny_model("llama", scale=0.15)
    circuit = with_predicted_effects(model, TASK, eap(model, TASK), nodes=3)
    points = circuit.details["predicted_effects"]["points"]
    assert circuit.details["predicted_effects"]["edges"] == len(points) == 3
    assert all(len(name.split(" -> ")) == 2 for name, *_ in points)


def test_a_graph_of_another_prompt_is_refused():
    model = transcoders()
    graph = attribution_graph(model, TASK)
    with pytest.raises(ValueError, match="a prompt of 4 tokens that is not among"):
        predicted_effects(model, random_behaviour(n=4, seed=9), graph)
    other = tiny_model("llama").through(random_dictionary("mlp_in.0", 32, writes="mlp.0", units=10))
    with pytest.raises(ValueError, match="another dictionary"):
        predicted_effects(other, TASK, graph)
    with pytest.raises(ValueError, match="no node of the circuit"):
        predicted_effects(model, TASK, graph.keep(graph.site == len(graph.sites) - 1))
