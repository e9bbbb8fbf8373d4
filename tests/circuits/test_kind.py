"""What a circuit is: said once, kept by everything made of it, and inferred of old files in one place."""

from dataclasses import replace

import numpy as np
import pytest

from clew.circuits.circuit import ANYWHERE, Circuit
from clew.circuits.formats.mib import from_mib, to_mib
from clew.circuits.kind import Card, Kind, Logit, Prompt
from clew.files import write_json
from clew.sites import Site
from tests.circuits.selection.graphs import component_circuit, node_circuit

CARD = Card(2, 4, 2, 8, False)
PROMPT = Prompt(("The", " keys"), (5, 7), (Logit(9, " are", 0.5),))
KINDS = [
    Kind(),
    Kind(in_metric_units=False, length=3),
    Kind(components=CARD),
    Kind("components", components=CARD),
    Kind("prompt_graph", length=2, prompt=PROMPT),
    Kind("attention", in_metric_units=False, length=2, prompt=Prompt(("a", "b"), (1, 2))),
    Kind("weights", in_metric_units=False),
]


def placed(kind: Kind) -> Circuit:
    """Two nodes, at positions where the kind has some, and an edge."""
    site, one = Site("resid", 0), np.arange(2)
    position = one if kind.length else one * 0 + ANYWHERE
    edge = {"source": one[:1], "target": one[1:], "weight": np.ones(1)}
    return Circuit((site,), {site: 9}, one * 0, one, position, one + 1.0, one * 0.0, **edge, kind=kind)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_kind_comes_back_from_disk(tmp_path, kind):
    assert Circuit.load(placed(kind).save(tmp_path / "c.json")).kind == kind


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_made_of_a_circuit_is_of_its_kind(kind):
    c = placed(kind)
    made = [c.top(1), c.above(1.5), c.keep(np.array([1])), c.keep_edges(np.array([0])), c.strongest_edges(1), c.wired(),
            c.labelled({"resid.0/1": "plural"}), c["resid.0/1"], c.with_details(title="x")]  # fmt: skip
    assert [m.kind for m in made] == [kind] * len(made)
    assert c.everywhere().kind == replace(kind, length=None)  # no positions, so no prompts that they count in


def test_columns_alone_are_units_with_effects_on_the_metric():
    assert node_circuit([1.0]).kind == Kind("units", in_metric_units=True, length=None, components=None, prompt=None)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Kind("components"), r"needs the card of its graph: Components\(model.body\).card"),
        (lambda: Kind("prompt_graph"), "needs its words"),
        (lambda: Kind(length=0), "length=0: give how many tokens"),
        (lambda: Prompt(("a",), (1, 2)), "1 tokens has 2 ids"),
        (lambda: Card(2, 3, 2, 8, False), "3 query heads cannot share 2"),
        (lambda: Card(2, 4, 0, 8, False), r"from 1 on, not \(2, 4, 0\)"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(made, words):
    with pytest.raises(ValueError, match=words):
        made()


def version_1(circuit: Circuit, **details: object) -> dict:
    """A circuit as it was written before kinds."""
    value = circuit.to_json()
    del value["kind"]
    value["labels"] = {address: labels[0]["text"] for address, labels in value["labels"].items()}
    return value | {"version": 1, "details": details}


CARD_1 = {"n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_model": 8, "parallel": False}
GRAPH_1 = {"length": 2, "tokens": ["The", " keys"], "token_ids": [5, 7], "weights": "of the target's activation",
           "logits": [{"id": 9, "token": " are", "probability": 0.5}], "bias": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("details", "kind", "left"),
    [
        ({"tokens": ["a"]}, Kind(), {"tokens": ["a"]}),
        ({"length": 2}, Kind(length=2), {}),
        ({"masks": {"on": 3}, "length": 2}, Kind(in_metric_units=False, length=2), {"masks": {"on": 3}}),
        ({"components": CARD_1}, Kind(components=CARD), {}),
        (GRAPH_1, KINDS[4], {"weights": "of the target's activation", "bias": {}}),
        ({"attention": {"key": 1}}, Kind("attention", in_metric_units=False), {"attention": {"key": 1}}),
        ({"weights": {"mlp.0": 4}}, Kind("weights", in_metric_units=False), {"weights": {"mlp.0": 4}}),
        ({"tracing": {"window": 1}}, Kind(in_metric_units=False), {"tracing": {"window": 1}}),
    ],
)
def test_an_older_file_is_read_by_the_keys_of_its_details(tmp_path, details, kind, left):
    path = write_json(tmp_path / "old.json", version_1(placed(Kind()), **details))
    old = Circuit.load(path)
    assert (old.kind, old.details) == (kind, left)
    assert Circuit.load(old.save(path)).kind == kind


def test_an_older_component_graph_is_told_from_nodes_by_its_readers():
    graph = component_circuit(2, 4, 2)
    old = Circuit.from_json(version_1(graph, components=CARD_1))
    assert old.kind == graph.kind == Kind("components", components=CARD)
    ranking = Circuit.from_json(version_1(graph, components=CARD_1, score="share of what the reader reads"))
    assert ranking.kind == replace(graph.kind, in_metric_units=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("kind"), "'kind'"),
        (lambda v: v["kind"].update(of="edges"), "kind.of is 'edges'; it is one of"),
        (lambda v: v["kind"].update(components={"n_layers": 2}), "kind.components has no 'n_heads'"),
        (lambda v: v["kind"].pop("prompt"), "kind has no 'prompt'"),
        (lambda v: v["kind"].update(more=1), "kind has 'more', which is none of"),
        (lambda v: v["kind"].update(components=CARD_1 | {"n_kv_heads": 0}), r"not \(2, 4, 0\)"),
        (lambda v: v["kind"].update(length="4"), "kind.length is '4'; a whole number is due"),
        (lambda v: v.update(version=1), "has 'kind', which is none of"),
        (lambda v: (v.pop("kind"), v.update(version=1, details={"components": [1]})), "is not a whole circuit"),
        (lambda v: (v.pop("kind"), v.update(version=1, details={"token_ids": [1]})), "'tokens'"),
        (lambda v: v.update(version=0), "version 0; this clew reads 1 to 3"),
        (lambda v: v.pop("version"), "has no 'version'"),
    ],
)
def test_a_file_whose_kind_is_broken_is_named(tmp_path, change, words):
    value = placed(Kind()).to_json()
    change(value)
    with pytest.raises(ValueError, match=f"broken.json.*{words}"):
        Circuit.load(write_json(tmp_path / "broken.json", value))


def test_mibs_files_of_edges_are_graphs_and_those_of_nodes_are_units():
    graph = component_circuit(2, 4, 2)
    assert from_mib(to_mib(graph)).kind == Kind("components", components=CARD)
    nodes = {"cfg": {"n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "d_model": 8, "parallel_attn_mlp": False},
             "nodes": {"m0": {"in_graph": True, "score": 0.5}}, "edges": {}}  # fmt: skip
    assert from_mib(nodes).kind == Kind(components=CARD)
