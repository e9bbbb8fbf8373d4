"""Every judge of circuits takes the kinds that it can judge, and says of the others what can."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import clew
from clew import Circuit, Model, Report, verify
from clew.circuits.kind import Kind
from clew.finder import load, names
from clew.measures.circuits._edges import EdgeTrial
from clew.measures.circuits._nodes import NodeTrial
from clew.measures.circuits._trials import trial_of
from clew.measures.circuits.hypothesis_tests import Minimality
from clew.methods.edges.eap import eap
from clew.methods.edges.edges import edges
from clew.methods.graphs.attribution_graph import attribution_graph
from clew.methods.graphs.query_key import query_key
from clew.methods.nodes.attribution_patching import attribution_patching
from tests.planted import random_behaviour, random_dictionary, tiny_model

TASK = random_behaviour(n=4)
MODEL = tiny_model("llama", scale=0.15)
ABLATES = ("areas", "change", "controls", "curve", "edge_faithfulness", "faithfulness", "hypothesis_tests",
           "interchangeability", "minimality", "predicted_effects", "supernodes", "worst_case")  # fmt: skip
"""Judges that ablate what the circuit holds."""
OTHER = {
    "drift": "compares two models, site by site",
    "recovery": "holds a ranking against a truth",
    "reuse": "counts what two circuits share; with prompts of both it ablates",
    "stability": "searches anew",
}
"""Judges that do not."""


@cache
def view() -> Model:
    return MODEL.through(*(random_dictionary(f"resid.{i}", 32) for i in range(3)))


@cache
def transcoders() -> Model:
    return MODEL.through(*(random_dictionary(f"mlp_in.{i}", 32, writes=f"mlp.{i}") for i in range(3)))


@cache
def nodes() -> Circuit:
    return attribution_patching(view(), TASK).top(8)


def of_weights() -> Circuit:
    """Nodes that the view has, so that nothing but their kind tells that no run has them."""
    return nodes().with_kind(of="weights", in_metric_units=False)


def judge(name: str) -> Callable[[Model, Circuit], Report]:
    more = {"change": {"child": view(), "sizes": (2,)}, "reuse": {"other": nodes(), "other_behaviour": TASK}}
    measure = load("measures.circuits", name)
    return lambda model, circuit: measure(model, TASK, circuit, held_out=False, **more.get(name, {}))


def test_no_judge_is_forgotten():
    assert {*ABLATES, *OTHER} == set(names("measures.circuits"))


@pytest.mark.parametrize("name", [*ABLATES, "reuse"])
def test_a_circuit_of_weights_is_not_ablated(name):
    with pytest.raises(ValueError, match=r"circuit of weights.*judged by its masks.*load_masks.*details\['bigrams'\]"):
        judge(name)(view(), of_weights())


def test_nor_are_its_nodes_wired():
    with pytest.raises(ValueError, match="circuit of weights"):
        edges(view(), TASK, of_weights())


def test_verify_says_so_too():
    with pytest.raises(ValueError, match="circuit of weights"):
        verify(view(), TASK, of_weights())


def test_the_trial_is_that_of_the_kind():
    graph = eap(MODEL, TASK).strongest_edges(5)
    assert isinstance(trial_of(MODEL, TASK, graph), EdgeTrial)
    assert isinstance(trial_of(view(), TASK, nodes()), NodeTrial)
    found = query_key(view(), TASK, layer=1, head=0)
    assert isinstance(trial_of(view(), TASK, found), NodeTrial)  # its nodes are units at positions, as any
    bare = replace(graph, kind=Kind(components=graph.kind.components))  # the kind decides, not the sites
    with pytest.raises(ValueError, match="the model is not seen there"):
        trial_of(MODEL.components(), TASK, bare).circuit_metric(bare)


def test_components_without_edges_are_refused_by_name():
    with pytest.raises(ValueError, match=r"circuit of components has .* nodes but no edges"):
        trial_of(MODEL, TASK, eap(MODEL, TASK).keep_edges(np.zeros(0, int)))


def test_tokens_and_logits_of_a_prompt_graph_are_not_ablated_as_units():
    graph = attribution_graph(transcoders(), TASK)
    with pytest.raises(ValueError, match=r"nodes for tokens and logits too \(here at embed, final\)"):
        trial_of(transcoders(), TASK, graph)
    held = graph.keep(np.array([node.site in transcoders().dictionaries for node in graph]))
    assert isinstance(trial_of(transcoders(), TASK, held), NodeTrial)


def test_an_attention_score_predicts_nothing_of_the_metric():
    found = query_key(view(), TASK, layer=1, head=0)
    with pytest.raises(ValueError, match="explains an attention score"):
        judge("predicted_effects")(view(), found)


# Copies of a prompt.


JUDGES = {
    "faithfulness": {},
    "minimality": {},
    "curve": {"random": 2},
    "controls": {"draws": 3},
    "hypothesis_tests": {"permutations": 50, "minimality": Minimality(draws=4)},
    "areas": {"sizes": (0.1, 1.0)},
}


@pytest.mark.parametrize("by", JUDGES)
def test_eight_copies_of_a_prompt_are_one_prompt(by):
    """Every number, its interval and its n are those of the prompts without their copies; p counts prompts too."""
    task = random_behaviour(n=5)
    model = tiny_model("llama").through(random_dictionary("resid.0", 32), random_dictionary("resid.1", 32))
    circuit = clew.find(model, task, by="attribution_patching", held_out=False)
    circuit = circuit if by in ("curve", "areas") else circuit.top(4)
    eightfold = replace(task, pairs=tuple(pair for pair in task.pairs for _ in range(8)), split=None)
    alone, copies = (clew.verify(model, on, circuit, by=by, held_out=False, **JUDGES[by]) for on in (task, eightfold))
    assert len(alone.rows) == len(copies.rows)
    for one, other in zip(alone.rows, copies.rows, strict=True):
        assert (one.measure, one.of, one.examples) == (other.measure, other.of, other.examples)
        assert (other.value, other.low, other.high) == pytest.approx(
            (one.value, one.low, one.high), nan_ok=True, rel=1e-4
        )
    assert any("5 prompts (40 with copies, which count as one in intervals)" in note for note in copies.notes)


def test_copies_of_a_single_prompt_have_no_interval():
    task = random_behaviour(n=1)
    model = tiny_model("llama").through(random_dictionary("resid.0", 32))
    circuit = clew.find(model, task, by="attribution_patching", held_out=False).top(4)
    row = clew.verify(model, replace(task, pairs=task.pairs * 8), circuit, held_out=False)["faithfulness"]
    assert (row.interval(), row.examples) == ("", 1)


@pytest.mark.parametrize("by", ["attribution_patching", "eap", "exact_edge_patching"])
def test_standard_errors_count_prompts(by):
    task, model = random_behaviour(n=3), tiny_model("llama")
    alone, copies = (
        clew.find(model if by.startswith("e") else model.neurons("mlp.1"), on, by=by, held_out=False)
        for on in (task, replace(task, pairs=task.pairs * 6, split=None))
    )
    for errors in ("score_error", "weight_error"):
        assert np.allclose(getattr(alone, errors), getattr(copies, errors), equal_nan=True, rtol=1e-5)
