"""Edge faithfulness: needed and unneeded wires of a known model, and the judge of nodes when no wire is missing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import clew
from clew import Behaviour, Circuit, Model
from clew.changes import Set
from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT
from clew.data.planted.induction import induction
from clew.dictionaries import Identity, JumpReLU, Partition, ReLU, TopK
from clew.measures.circuits._edges import EdgeTrial
from clew.measures.circuits._feature_paths import FeaturePaths
from clew.measures.circuits._nodes import NodeTrial
from clew.measures.circuits.edge_faithfulness import edge_faithfulness, random_edges
from clew.models.graph.components import Components
from clew.readings.ablation import Ablation
from clew.readings.contrast import mean_states
from clew.sites import Site
from tests.measures.idle_model import all_edges, idle_model
from tests.planted import random_behaviour, random_dictionary, tiny_model


def lens_of(family: str, *wanted: tuple, **config: Any) -> Model:
    model, made = tiny_model(family, **config), []
    for site, kind, *writes in wanted:
        width = model.body.widths[Site.parse(site)]
        if kind in (Identity, Partition):
            made.append(Identity(site, width) if kind is Identity else Partition(site, (width // 4,) * 4))
        else:
            made.append(random_dictionary(site, width, kind, writes=writes[0] if writes else None))
    return model.through(*made)


CONSECUTIVE = ("embed", "attn.0", "mlp.0", "resid.0", "attn.1", "mlp.1", "resid.1")
LENSES = {
    "sequential": lens_of("gpt_neox", *[(s, ReLU) for s in CONSECUTIVE], use_parallel_residual=False),
    "parallel, a missing attention": lens_of("gpt_neox", ("resid.0", TopK), ("mlp.1", TopK), ("mlp.2", ReLU)),
    "far apart": lens_of("gpt_neox", ("resid.0", ReLU), ("resid.2", JumpReLU), use_parallel_residual=False),
    "heads": lens_of("gpt2", ("resid.0", ReLU), ("head.1", Partition), ("mlp.1", ReLU), ("attn.2", ReLU)),
    "transcoders": lens_of(
        "gpt2", ("resid.0", ReLU), ("mlp_in.1", ReLU), ("mlp_in.1", ReLU, "mlp.1"), ("mlp_in.2", JumpReLU, "mlp.2")
    ),
    "neurons and queries": lens_of("opt", ("head.1", Partition), ("neuron.0", Identity), ("q.2", Identity)),
}


def nodes_of(model: Model, positions: bool, *, share: float = 1.0, length: int = 4) -> Circuit:
    """Some or all units and errors of every site, at every position or as one node."""
    rows = [
        (i, unit, position)
        for i, dictionary in enumerate(model.dictionaries.values())
        for position in (range(length) if positions else [ANYWHERE])
        for unit in (*range(dictionary.n_units), *([] if dictionary.exact else [ERROR]))
    ]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[: round(share * len(rows))]]
    site, unit, position = np.array(rows).T
    units = {s: d.n_units for s, d in model.dictionaries.items()}
    return Circuit(tuple(units), units, site, unit, position, score=np.ones(len(rows)), patch_mean=np.ones(len(rows)))


def trial(model: Model, behaviour: Behaviour, **options: Any) -> NodeTrial:
    return NodeTrial(model, behaviour, Ablation(**options), seed=0)


def inside(judge: NodeTrial, circuit: Circuit) -> Circuit:
    """The nodes at sites that are ablated."""
    return circuit.keep(np.array([circuit.sites[i] in judge.sites for i in circuit.site]))


def judged(name: str, positions: bool = True, share: float = 0.4, ablation: str = "mean", tokens: int = 48):
    """The judge of some nodes of a view, and the judge of edges between them."""
    model = LENSES[name]
    judge = trial(model, random_behaviour(), kind=ablation)
    return judge, FeaturePaths(judge, inside(judge, nodes_of(model, positions, share=share)), tokens=tokens)


def only(circuit: Circuit, *edges: tuple[str, str]) -> Circuit:
    """A circuit of components with these edges of its nodes, by address."""
    at = {node.address: i for i, node in enumerate(circuit)} | {"metric": OUTPUT}
    source, target = np.array([(at[s], at[t]) for s, t in edges]).T
    return replace(circuit, source=source, target=target, weight=np.ones(len(edges)), weight_error=np.zeros(0))


CHAIN = (("head.0/2", "head.1/1"), ("head.0/2", "head.2/3"), ("head.1/1", "metric"), ("head.2/3", "metric"))
"""The planted induction circuit, seen in heads: one finds the word before, two copy what followed it."""
UNNEEDED = (("head.0/0", "metric"), ("head.0/0", "head.1/1"), ("mlp.0/0", "mlp.1/0"))


@pytest.mark.parametrize(
    ("dropped", "wanted"),
    [((), 1), (CHAIN[:2], 0), (CHAIN[2:], 0), (UNNEEDED, 1)],
)
def test_a_needed_wire_is_all_and_an_unneeded_one_nothing(dropped: tuple, wanted: float) -> None:
    planted = induction(n=8)
    model = planted.model.components()
    nodes = nodes_of(model, positions=False)
    nodes = nodes.keep(nodes.site > 0)  # all but the embedding
    judge = trial(model, planted.behaviour, kind="patch")
    paths = FeaturePaths(judge, nodes, tokens=4096)
    whole = paths.every_edge()
    names = [*(n.address for n in whole), "metric"]
    kept = np.array([(names[s], names[t]) not in dropped for s, t in zip(whole.source, whole.target, strict=True)])
    assert (~kept).sum() == len(dropped)
    metric = paths.circuit_metric(whole.keep_edges(kept))
    assert judge.share(metric)(np.arange(8)) == pytest.approx(wanted, abs=1e-6)


def test_the_wires_of_a_planted_circuit_are_enough() -> None:
    planted = induction(n=8)
    model = planted.model.components()
    report = edge_faithfulness(
        model, planted.behaviour, only(planted.nodes, *CHAIN), ablation="patch", random=0, held_out=False
    )
    assert [(r.of, r.nodes) for r in report.rows] == [("nodes", 3), ("edges", 4), ("nodes joined", 3)]
    assert all(r.value == pytest.approx(1, abs=1e-6) for r in report.rows)


def test_one_edge_is_what_path_patching_by_hand_makes_of_it() -> None:
    """resid.0's unit is seen by resid.2's, but not by the rest of resid.2: two runs, the first for its value."""
    judge, paths = judged("far apart", share=1.0)
    model, (batch,) = LENSES["far apart"], judge.batches
    low, high = Site("resid", 0), Site("resid", 2)
    states = mean_states(model, random_behaviour(), of="patch")
    mean = {site: states(site, batch.clean) for site in (low, high)}
    clean = model.run(batch.clean, read=[low]).code(low)
    unit, at = int((clean - mean[low].code)[:, 1].abs().sum(0).argmax()), 1
    code = mean[low].code.repeat(3, 1, 1)
    code[:, at, unit] = clean[:, at, unit]
    low_value = model.dictionaries[low].decode(code) + mean[low].error
    seen = model.run(batch.clean, edits=[Set(low, value=low_value)], read=[high], logits=0).code(high)
    code = mean[high].code.repeat(3, 1, 1)
    target = int((seen - code)[:, 3].abs().sum(0).argmax())
    code[:, 3, target] = seen[:, 3, target]
    value = model.dictionaries[high].decode(code) + mean[high].error
    wanted = judge.behaviour.metric(model.run(batch.clean, edits=[Set(high, value=value)]), batch).numpy()
    name = f"resid.2/{target}@3"
    found = paths.circuit_metric(only(paths.circuit, (f"resid.0/{unit}@1", name), (name, "metric")))
    assert np.allclose(found, wanted, atol=1e-10)
    assert not np.allclose(found, paths.circuit_metric(only(paths.circuit, (name, "metric"))), atol=1e-6)


@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("name", LENSES)
def test_with_every_edge_in_place_nodes_and_edges_are_judged_alike(name: str, positions: bool) -> None:
    judge, paths = judged(name, positions)
    wired = paths.every_edge()
    metric = paths.circuit_metric(wired)
    assert np.allclose(metric, judge.circuit_metric(wired), atol=1e-9)
    assert np.abs(metric - judge.whole).max() > 1e-3 and np.abs(metric - judge.empty).max() > 1e-3


@pytest.mark.parametrize("ablation", ["mean", "patch", "zero", "resample"])
def test_all_nodes_and_edges_are_the_model_and_no_edge_is_nothing(ablation: str) -> None:
    judge, paths = judged("sequential", share=1.0, ablation=ablation)
    assert np.allclose(paths.circuit_metric(paths.every_edge()), judge.whole, atol=1e-9)
    assert np.allclose(paths.circuit_metric(paths.circuit), judge.empty, atol=1e-9)


@pytest.mark.parametrize("name", ["sequential", "transcoders"])
def test_nodes_side_by_side_take_the_values_they_take_alone(name: str) -> None:
    """Half of all edges, so that nodes read different ones: a copy for each set of them, or one at a time."""
    _, together = judged(name)
    _, alone = judged(name, tokens=1)
    wired = together.every_edge()
    half = wired.keep_edges(np.random.default_rng(1).permutation(len(wired.weight))[: len(wired.weight) // 2])
    assert np.allclose(together.circuit_metric(half), alone.circuit_metric(half), atol=1e-10)


def test_components_agree_with_path_patching_of_queries_keys_and_values_together() -> None:
    model, behaviour = tiny_model("gpt2").components(), random_behaviour()
    graph = Components(model.body)
    nodes = nodes_of(model, positions=False)
    nodes = nodes.keep(nodes.site > 0)
    paths = FeaturePaths(trial(model, behaviour, kind="patch"), nodes, tokens=48)
    wired = paths.every_edge()
    half = wired.keep_edges(np.random.default_rng(1).random(len(wired.weight)) < 0.5)
    keep = torch.zeros_like(graph.legal)
    keep[0] = graph.legal[0]  # the embedding, which a trial of nodes leaves alone
    ends = [*half.nodes, None]
    for s, t in zip(half.source, half.target, strict=True):
        row, end = graph.sources.index((ends[s].site, ends[s].unit)), ends[t]
        parts = [("final", None, 0)] if end is None else [("mlp_in", end.site.layer, 0)]
        if end is not None and end.site.part == "head":
            parts = [(part, end.site.layer, end.unit) for part in "qkv"]
        for part, layer, unit in parts:
            keep[row, graph.readers.index((Site(part, layer), unit))] = True
    edges = EdgeTrial(tiny_model("gpt2"), behaviour)
    assert np.allclose(paths.circuit_metric(half), edges.metric(keep), atol=1e-9)


def test_random_edges_are_as_many_and_only_what_can_be_read() -> None:
    _, paths = judged("sequential")
    wired = paths.every_edge()
    some = wired.keep_edges(np.random.default_rng(1).permutation(len(wired.weight))[:200])
    drawn = random_edges(some, wired, np.random.default_rng(0))
    possible, mine, theirs = (set(zip(c.source.tolist(), c.target.tolist(), strict=True)) for c in (wired, some, drawn))
    assert len(theirs) == 200 and theirs <= possible and theirs != mine
    assert (drawn.target == OUTPUT).sum() == (some.target == OUTPUT).sum() > 0


def test_an_edge_runs_wherever_a_site_reads_another_and_nowhere_else() -> None:
    """A residual site hides what lies below it, and only attention lets an earlier position be read."""
    _, paths = judged("sequential", share=1.0)
    every = paths.every_edge()
    ends = [*every.nodes, None]
    pairs = [(ends[s], ends[t]) for s, t in zip(every.source, every.target, strict=True)]
    assert {str(s.site) for s, t in pairs if t is not None and str(t.site) == "attn.1"} == {"resid.0"}
    assert {str(s.site) for s, t in pairs if t is not None and str(t.site) == "resid.1"} == {
        "resid.0",
        "attn.1",
        "mlp.1",
    }
    assert {str(s.site) for s, t in pairs if t is None} == {"resid.1"}
    assert {(s.position, t.position) for s, t in pairs if t and t.site.part == "mlp"} == {(i, i) for i in range(4)}
    assert {(s.position, t.position) for s, t in pairs if t and str(t.site) == "attn.1"} == {
        (i, j) for i in range(4) for j in range(i, 4)
    }


def test_a_report_holds_edges_nodes_and_random_edges_at_every_size() -> None:
    model, behaviour = LENSES["sequential"], random_behaviour(n=6)
    circuit = clew.find(model, behaviour, by="attribution_patching").top(25)
    wired = clew.find(model, behaviour, circuit, by="edges")
    report = clew.verify(model, behaviour, wired, by="edge_faithfulness", sizes=(20, 10**6), random=1)
    counted = sum(wired.sites[wired.site[s]].part != "embed" for s in wired.source)
    found = {(r.of, r.nodes): r for r in report.rows}
    assert {size for of, size in found if "edges" in of} == {20, counted} and ("random edges", 20) in found
    judge = trial(model, behaviour.test)
    share = judge.share(judge.circuit_metric(circuit))
    assert next(r for r in report.rows if r.of == "nodes").value == pytest.approx(share(np.arange(3)))
    assert all(r.low <= r.value <= r.high and r.examples == 3 for r in report.rows)
    assert report.provenance["passes"] > len(report.rows)


def test_component_graphs_are_judged_by_their_own_trial() -> None:
    model, behaviour = idle_model(), random_behaviour()
    report = edge_faithfulness(model, behaviour, all_edges(model), sizes=(40,), random=1, held_out=False)
    judge = EdgeTrial(model, behaviour)
    values = {(r.of, r.nodes): r.value for r in report.rows}
    metric = judge.circuit_metric(all_edges(model).strongest_edges(40))
    assert values["edges", 40] == pytest.approx(judge.share(metric)(np.arange(3)))
    assert max(values.values()) == values["edges", len(all_edges(model).weight)] == pytest.approx(1)
    assert ("random edges", 40) in values


def test_what_cannot_be_judged_is_refused_in_words() -> None:
    model, behaviour = LENSES["sequential"], random_behaviour()
    nodes = nodes_of(model, positions=True)
    with pytest.raises(ValueError, match="no edges to judge; wire its nodes"):
        edge_faithfulness(model, behaviour, nodes)
    jump = only(nodes, ("attn.0/3@1", "resid.1/4@1"))
    with pytest.raises(ValueError, match="from attn.0/3@1 to resid.1/4@1, which does not read it but through other"):
        edge_faithfulness(model, behaviour, jump)
    back = only(nodes, ("resid.0/3@2", "attn.1/4@1"))
    with pytest.raises(ValueError, match="from resid.0/3@2 to attn.1/4@1"):
        edge_faithfulness(model, behaviour, back)
    with pytest.raises(ValueError, match="sizes are numbers of edges, from 1 on"):
        edge_faithfulness(model, behaviour, only(nodes, ("resid.0/3@1", "attn.1/4@1")), sizes=(0,))
    mixed = replace(nodes, position=np.where(nodes.unit == 3, ANYWHERE, nodes.position))
    with pytest.raises(ValueError, match="some nodes have a position and some stand for all"):
        edge_faithfulness(model, behaviour, only(mixed, ("resid.0/4@1", "attn.1/4@1")))
