"""Nodes in words, as terminal and pages say them."""

from dataclasses import replace

import numpy as np
import pytest

from clew.apps._cards import as_tested, briefly, fires_on, holds, in_words, listed, strongest, table
from clew.circuits.kind import Card, Kind, Prompt
from clew.labels import Label
from clew.methods.edges.eap import eap
from clew.report import Row
from tests.circuits.test_verdicts import circuit
from tests.models.tiny import model_of
from tests.planted import random_behaviour

COMPONENTS = Kind("components", components=Card(8, 9, 3, None, False))


@pytest.mark.parametrize(
    ("units", "kind", "address", "words"),
    [
        ("features", Kind(), "resid.3/17@4", "feature 17 of resid.3"),
        ("features", Kind(), "resid.11/error@2", "error of resid.11"),
        ("neurons", Kind(), "neuron.3/17", "neuron 17 of layer 3"),
        ("neurons", Kind(), "resid.3/17", "neuron 17 of resid.3"),
        ("heads", Kind(), "head.5/3", "head 3 of layer 5"),
        ("components", Kind(), "mlp.2/0", "MLP of layer 2"),
        ("components", Kind(), "mixer.2/0", "mixer of layer 2"),
        ("experts", Kind(), "expert.1/3", "expert 3 of layer 1"),
        ("units", Kind(), "resid.3/17", "unit 17 of resid.3"),
        ("neurons", COMPONENTS, "embed/0", "embedding"),
        ("neurons", COMPONENTS, "q.5/3", "queries of head 3 of layer 5"),
        ("neurons", COMPONENTS, "k.5/1", "keys of key-value head 1 of layer 5"),
        ("neurons", COMPONENTS, "mlp_in.2/0", "input of the MLP of layer 2"),
        ("neurons", COMPONENTS, "mixer_in.2/0", "input of the mixer of layer 2"),
        ("features", Kind("prompt_graph", prompt=Prompt(("a",), (1,))), "embed/1@0", "token"),
    ],
)
def test_an_address_in_words(units: str, kind: Kind, address: str, words: str) -> None:
    made = replace(circuit(), kind=kind, provenance={"units": units})
    assert in_words(made, address) == words


def test_where_nothing_was_read_nothing_is_said() -> None:
    told = circuit(top_tokens={"resid.0/3": [" she"], "resid.0/5": []})
    assert [fires_on(told, f"resid.0/{unit}") for unit in (3, 5, 8)] == ["she", "nothing that was read", ""]


def test_tokens_are_not_cut_in_two() -> None:
    assert listed([" are", " were", "\n"]) == "are, were, '\\n'"
    assert listed([" are", " were", " themselves"], 12) == "are, were…"
    assert listed([" themselves"], 4) == "themselves"


def test_the_table_has_what_nodes_fire_on_and_promote_beside_them() -> None:
    told = circuit(top_tokens={"resid.0/3": [" she", " her"], "resid.0/5": []}, promotes={"resid.0/3": [" her"]})
    head, first, second, third, _ = table(told).splitlines()
    assert head.split() == ["fires", "on", "promotes"]
    assert first.split() == ["+4.0000", "resid.0/3", "she,", "her", "her"]
    assert second.split() == ["+3.0000", "resid.0/5", "nothing", "that", "was", "read"]
    assert third.split() == ["+2.0000", "resid.0/error"]
    assert "fires on" not in table(circuit())


def test_a_rule_stands_where_tokens_would_with_its_distance_from_the_highest_floor() -> None:
    scores = [("all", 0.75), ("above shuffled", 0.75), ("above random_unit", 0.25)]
    rows = tuple(Row("simulation r", value, value, value, of=of) for of, value in scores)
    rule = Label("in part: 'she' or 'her'; words in capitals", "rule", rows, "rules")
    told = circuit(top_tokens={"resid.0/3": [" she"], "resid.0/5": [" it"]}).labelled(
        {"resid.0/3": rule, "resid.0/5": "things"}
    )
    head, first, second, _, _ = table(told).splitlines()
    assert " ".join(head.split()) == "fires on (by rule, else tokens) r, above floor"
    assert " ".join(first.split()) == "+4.0000 resid.0/3 'she' or 'her'; … 0.75, +0.25 random unit, in part"
    assert second.split() == ["+3.0000", "resid.0/5", "things", "it"]
    assert holds(rule) == "r 0.75, +0.25 above random unit"
    assert as_tested(rule) == "simulation r 0.75 (+0.75 above shuffled, +0.25 above random_unit)"


def test_a_position_is_said_by_its_word() -> None:
    at = circuit(positions=(1, 0, 1, 1), tokens=["The", " keys"])
    assert "resid.0/3@1  at keys" in table(at)


def test_edges_of_components_are_named_by_both_ends() -> None:
    model = model_of()
    found = eap(model, random_behaviour(vocab=29)).strongest_edges(200)
    first = strongest(found)[0]
    assert first["score"] == found.weight[np.argmax(np.abs(found.weight))]
    assert " -> " in first["address"] and " of layer " in first["words"] and first["words"] in table(found)
    assert any(card["words"].endswith("-> logits") for card in strongest(found, 200))


def test_what_a_unit_does_stands_whole_where_tokens_that_it_promotes_would() -> None:
    done = Label("raises ' is'; lowers ' are'", "effects", (), "effects")
    found = circuit(top_tokens={"resid.0/3": [" she"]}, promotes={"resid.0/3": [" her"]}).labelled({"resid.0/3": done})
    head, first, *_ = table(found).splitlines()
    assert head.split() == ["fires", "on", "promotes"]
    assert first.split(maxsplit=3) == ["+4.0000", "resid.0/3", "she", "raises ' is'; lowers ' are'"]
    assert briefly(done.text, done.kind) == done.text and briefly("in part: 'a'; 'b'", "rule") == "'a'; …"


def test_a_floor_without_a_score_is_none() -> None:
    scores = [("all", 0.75), ("above permuted", float("nan")), ("above shuffled", 0.25)]
    label = Label("'she'", "rule", tuple(Row("simulation r", value, value, value, of=of) for of, value in scores))
    assert holds(label) == "r 0.75, +0.25 above shuffled"
    assert holds(replace(label, scores=label.scores[:2])) == "r 0.75, no floor"


def test_scores_of_windows_and_of_a_unit_are_told_apart() -> None:
    rows = [
        ("simulation r", "windows", 0.5),
        ("simulation r", "above shuffled", 0.25),
        ("intruder accuracy", "unit", 0.75),
    ]
    label = Label("names", "prose", tuple(Row(measure, value, value, value, of=of) for measure, of, value in rows))
    assert as_tested(label) == "simulation r in windows 0.50 (+0.25 above shuffled), intruder accuracy 0.75"
    assert holds(label) == ""
