"""Every method says what its circuit is."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch

from clew import Circuit, Model, find
from clew.circuits.kind import Kind
from clew.finder import load, names
from clew.measures.circuits.predicted_effects import predicts_effects
from clew.methods import Schedule
from clew.models.graph.components import Components
from tests.methods.weights.test_bigram_subnetwork import windows
from tests.models.tiny import model_of
from tests.planted import random_behaviour, random_dictionary, tiny_model
from tests.readings.test_tracing import FACTS

TASK = random_behaviour(n=4)
LENGTH = 4
MODEL = tiny_model("llama", scale=0.15)
CARD = Components(MODEL.body).card
UNITS, RANKING = Kind(), Kind(in_metric_units=False)
PLACED = Kind(length=LENGTH)
GRAPH = Kind("components", components=CARD)
ONE_STEP = Schedule(1)
MASKS = {"schedule": ONE_STEP, "keep": 4}


def features() -> Model:
    return MODEL.through(*(random_dictionary(f"resid.{i}", 32) for i in range(3)))


def transcoders() -> Model:
    return MODEL.through(*(random_dictionary(f"mlp_in.{i}", 32, writes=f"mlp.{i}") for i in range(3)))


@cache
def nodes() -> Circuit:
    return load("methods", "attribution_patching")(features(), TASK).top(6)


@cache
def heads() -> Circuit:
    return load("methods", "attribution_patching")(MODEL.components(), TASK, positions=False)


def made(name: str, model: Model, *more: Circuit, **options: object) -> Callable[[], Circuit]:
    return lambda: load("methods", name)(model, TASK, *more, **options)


CASES: list[tuple[str, Kind, Callable[[], Circuit]]] = [
    ("attribution_patching", PLACED, made("attribution_patching", features(), positions=True)),
    ("attribution_patching", UNITS, made("attribution_patching", features(), positions=False)),
    ("exact_patching", PLACED, lambda: load("methods", "exact_patching")(features(), TASK, nodes())),
    ("integrated_gradients", PLACED, made("integrated_gradients", features(), steps=2)),
    ("integrated_gradients_inputs", PLACED, made("integrated_gradients_inputs", features(), steps=2)),
    ("edges", PLACED, lambda: load("methods", "edges")(features(), TASK, nodes())),
    ("causal_tracing", RANKING, lambda: load("methods", "causal_tracing")(model_of(), FACTS, samples=1)),
    ("eap", GRAPH, made("eap", MODEL)),
    ("clean_corrupted", GRAPH, made("clean_corrupted", MODEL)),
    ("eap_ig_inputs", GRAPH, made("eap_ig_inputs", MODEL, steps=2)),
    ("eap_ig_activations", GRAPH, made("eap_ig_activations", MODEL, steps=1)),
    ("exact_edge_patching", GRAPH, lambda: exact_edges()),
    ("acdc", GRAPH, made("acdc", MODEL, threshold=1e3, objective=None)),
    ("acdc", replace(GRAPH, in_metric_units=False), made("acdc", MODEL, threshold=1e3)),
    ("information_flow_routes", replace(GRAPH, in_metric_units=False), made("information_flow_routes", MODEL)),
    ("path_patching", Kind(components=CARD), made("path_patching", MODEL)),
    ("edge_pruning", replace(GRAPH, in_metric_units=False), made("edge_pruning", MODEL, **MASKS)),
    ("hard_concrete", replace(RANKING, length=LENGTH), made("hard_concrete", features(), positions=True, **MASKS)),
    ("hard_concrete", RANKING, made("hard_concrete", features(), positions=False, **MASKS)),
    ("uniform_gradient_sampling", replace(GRAPH, in_metric_units=False),
     made("uniform_gradient_sampling", MODEL, schedule=ONE_STEP)),
    ("uniform_gradient_sampling", RANKING,
     made("uniform_gradient_sampling", features(), schedule=ONE_STEP, over="nodes", positions=False)),
    ("optimal_ablation", RANKING, made("optimal_ablation", MODEL.components(), steps=0)),
    ("optimal_ablation", UNITS, made("optimal_ablation", MODEL.components(), steps=0, objective=None)),
    ("discrete_codes", RANKING, made("discrete_codes", MODEL)),
    ("discrete_codes", RANKING, made("discrete_codes", MODEL, edges=True)),
    ("bigram_subnetwork", Kind("weights", in_metric_units=False), lambda: weights()),
    ("transfer_by_depth", RANKING, lambda: load("methods", "transfer_by_depth")(MODEL, TASK, heads())),
    ("faithfulness_alignment", RANKING,
     lambda: load("methods", "faithfulness_alignment")(MODEL, TASK, heads(), epochs=0)),
]  # fmt: skip


def exact_edges() -> Circuit:
    few = load("methods", "eap")(MODEL, TASK).strongest_edges(3)
    return load("methods", "exact_edge_patching")(MODEL, TASK, few)


def weights() -> Circuit:
    text = windows(torch.arange(12).view(2, 6))
    return load("methods", "bigram_subnetwork")(tiny_model("gpt2"), text, schedule=ONE_STEP)


ONE_PROMPT = ("attribution_graph", "head_loadings", "query_key")
"""Methods that explain one prompt, whose words go with the circuit; below."""


def test_no_method_is_forgotten():
    assert {name for name, _, _ in CASES} | set(ONE_PROMPT) == set(names("methods"))


@pytest.mark.parametrize(("name", "kind", "make"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_a_method_says_what_its_circuit_is(tmp_path, name, kind, make):
    found = make()
    assert found.kind == kind
    assert Circuit.load(found.save(tmp_path / "c.json")).kind == kind


@pytest.mark.parametrize("of", ["logits", "metric"])
def test_an_attribution_graph_has_the_words_of_its_prompt(tmp_path, of):
    found = load("methods", "attribution_graph")(transcoders(), TASK, example=1, of=of)
    kind, prompt = found.kind, found.kind.prompt
    assert (kind.of, kind.in_metric_units, kind.length) == ("prompt_graph", True, LENGTH)
    assert prompt.token_ids == TASK.pairs[1].clean and prompt.tokens == tuple(map(str, prompt.token_ids))
    shown = found.unit[found.site == len(found.sites) - 1].tolist()
    assert set(shown) <= {logit.id for logit in prompt.logits} and bool(prompt.logits) == (of == "logits")
    assert Circuit.load(found.save(tmp_path / "c.json")).kind == kind
    assert not {"tokens", "token_ids", "logits", "length"} & set(found.details)


def test_a_graph_whose_edges_are_split_is_the_graph():
    graph = load("methods", "attribution_graph")(transcoders(), TASK)
    assert load("methods", "head_loadings")(transcoders(), TASK, graph).kind == graph.kind


def test_a_query_key_graph_is_of_attention_and_has_the_words_of_its_prompt():
    kind = load("methods", "query_key")(features(), TASK, layer=1, head=0, example=2).kind
    assert (kind.of, kind.in_metric_units, kind.length) == ("attention", False, LENGTH)
    assert kind.prompt.token_ids == TASK.pairs[2].clean and kind.prompt.logits == ()


def test_find_keeps_the_kind_and_only_effects_on_the_metric_are_predictions():
    found = find(MODEL, TASK, by="acdc", threshold=1e-3, held_out=False)
    assert found.kind == replace(GRAPH, in_metric_units=False) and not predicts_effects(MODEL, TASK, found)
    own = find(MODEL, TASK, by="acdc", threshold=1e-3, objective=None, held_out=False)
    assert own.kind == GRAPH and len(own.weight) and predicts_effects(MODEL, TASK, own)
