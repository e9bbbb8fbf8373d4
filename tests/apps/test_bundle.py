"""What the front end is given: everything that it shows, as plain JSON."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from clew.apps._bundle import EDGES, NODES, bundle
from clew.apps._facts import LISTED, facts
from clew.apps._made import made
from clew.circuits.circuit import ERROR, OUTPUT, Circuit
from clew.circuits.formats.attribution_graph import node_ids
from clew.circuits.verdicts import Verdicts
from clew.labels import Labels
from clew.report import Report, Row
from clew.sites import Site
from tests.circuits.test_verdicts import circuit as unit_circuit

HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><!-- {{script}}"


def small_circuit(nodes: int = 4, **changes) -> Circuit:
    """Nodes of two sites at three positions, the first an error, each tied to the next and the last to the metric."""
    sites = (Site("mlp", 0), Site("resid", 1))
    order = np.arange(nodes)
    columns = {
        "site": order % 2,
        "unit": np.where(order == 0, ERROR, order + 10),
        "position": order % 3,
        "score": (-1.0) ** order * (1 + order / 7),
        "patch_mean": np.where(order == 0, np.nan, 0.5),
        "source": order,
        "target": np.append(order[1:], OUTPUT),
        "weight": order + 0.25,
    }
    details = {"tokens": ["The", " keys", HOSTILE], "top_tokens": {"resid.1/11": [HOSTILE, " keys"]}, "metric": HOSTILE}
    labels = Labels.of({"resid.1/11": HOSTILE, "resid.1/99999": "of a node that is not here"})
    made = {"model": {"name": "tiny"}, "behaviour": "agreement <b>", "by": "attribution_patching", "seconds": 3.2}
    return Circuit(
        sites, dict.fromkeys(sites, 16), **columns | changes, labels=labels, details=details, provenance=made
    )


def curve() -> Report:
    rows = [
        Row("faithfulness", n / 100, n / 200, n / 90, of, n, 8) for n in (1, 10, 100) for of in ("features", "random")
    ]
    return Report("curve", (*rows, Row("metric", float("nan"), 0.0, 1.0)), (HOSTILE,))


def test_the_circuit_and_the_report_come_back_from_plain_json():
    circuit, data = small_circuit(), json.loads(json.dumps(bundle(small_circuit(), curve()), allow_nan=False))
    back = Circuit.from_json(data["circuit"])
    assert back.keys() == circuit.keys()
    for name in ("score", "patch_mean", "source", "target", "weight"):
        np.testing.assert_array_equal(getattr(back, name), getattr(circuit, name))
    assert back.labels == Labels.of({"resid.1/11": HOSTILE})
    assert data["report"] == curve().to_json()


def test_a_large_circuit_is_cut_to_its_strongest_and_says_so():
    data = bundle(small_circuit(NODES + 500))
    assert len(data["circuit"]["nodes"]["score"]) == NODES
    assert f"are the strongest {NODES:,} nodes" in data["words"]
    assert min(map(abs, data["circuit"]["nodes"]["score"])) > 1 + 499 / 7


def test_a_dense_circuit_keeps_its_strongest_edges():
    ends = {
        "source": np.zeros(EDGES + 5, np.int64),
        "target": np.ones(EDGES + 5, np.int64),
        "weight": np.arange(EDGES + 5.0),
    }
    assert min(bundle(small_circuit(**ends))["circuit"]["edges"]["weight"]) == 5.0


def test_the_words_say_where_it_came_from():
    assert bundle(small_circuit())["words"].startswith(
        "4 nodes and 4 edges over 2 sites, found by attribution patching in 3 seconds"
    )


# What a reader is told.

PAIR = {"clean": f"The keys {HOSTILE}", "patch": "The key", "answers": [" are"], "patch_answers": [" is"]}
RECORD = {
    "method": "integrated_gradients",
    "options": {"steps": 20, "baseline": None, "tokens": 2048, "skip": 1, "seed": 0},
    "baseline": "patch",
    "model": "tiny",
    "units": "features",
    "behaviour": "agreement/simple",
    "prompts": {"part": "train", "pairs": 31, "metric": "logit_difference", "note": "2 fell out.", "example": PAIR},
    "prompts_used": ["0f3a"],
    "weights": "01f1f800c54ce98c",
    "seconds": 150.7,
    "device": "cpu",
    "dtype": "float32",
    "versions": {"clew": "0.2.0"},
}


def recorded(**changes) -> Circuit:
    return replace(small_circuit(), provenance=RECORD | changes)


def test_the_prompts_stand_on_the_page_with_their_answers():
    clean, patch = bundle(recorded())["prompts"]
    assert clean == {"name": "clean", "text": f"The keys {HOSTILE}", "answers": [" are"]}
    assert patch == {"name": "patch", "text": "The key", "answers": [" is"]}
    ids = recorded(prompts={"example": {"clean": [5, 6], "patch": None, "answers": [7]}})
    assert bundle(ids)["prompts"] == [{"name": "clean", "text": "token ids 5 6", "answers": ["7"]}]
    chat = recorded(prompts={"example": {"clean": [{"role": "user", "content": "Hello"}], "answers": []}})
    assert bundle(chat)["prompts"][0]["text"] == "user: Hello"
    assert bundle(small_circuit())["prompts"] == []


def test_nodes_have_names_in_words():
    names = bundle(recorded())["names"]
    assert names == ["error of mlp.0", "feature 11 of resid.1", "feature 12 of mlp.0", "feature 13 of resid.1"]


def test_a_circuit_of_one_pair_says_so():
    said = " ".join(bundle(recorded(prompts={"part": "all", "pairs": 1, "metric": "logit_difference"}))["made"])
    assert "found on 1 prompt pair." in said


def test_how_it_was_made_is_said_in_sentences():
    said = bundle(recorded())["made"]
    text = " ".join(said)
    assert all(sentence.endswith(".") for sentence in said)
    for part in (
        "The model is tiny.",
        "The nodes are features of 2 dictionaries at mlp.0 to resid.1, and what a dictionary leaves out there is an error.",
        "The behaviour is agreement/simple, measured by the logit difference. The circuit was found on 31 prompt pairs, and "
        "the other half of the pairs is kept to verify it on. Before that: 2 fell out.",
        "Scores are those of integrated gradients: the drop of the metric when a part takes its value on the pair's patch "
        "prompt (steps 20, skip 1).",
        "It took 151 seconds on cpu in float32 with clew 0.2.0.",
    ):
        assert part in text
    assert not {"01f1f800c54ce98c", "0f3a", "2048"} & set(re.findall(r"\w+", text))


def test_edges_and_what_the_nodes_were_found_by_are_sentences_too():
    wired = recorded(method="exact_patching", wired={"method": "edges", "options": {"examples": 8}}, nodes_of=RECORD)
    text = " ".join(made(wired))
    assert "come from a circuit that was found by integrated gradients" in text
    assert "how much of a node's effect comes through each node that it reads (examples 8)" in text


def test_the_method_of_another_package_is_named_with_all_its_options():
    assert "my method" in " ".join(made(recorded(method="my_method", options={"depth": 3}))) and "depth 3" in " ".join(
        made(recorded(method="my_method", options={"depth": 3}))
    )


# Judging.

JUDGED = Verdicts.of(unit_circuit()).drop("resid.0/5", HOSTILE, judge=HOSTILE, day="2026-01-31")


def test_every_unit_can_be_judged_however_many_there_are():
    many = small_circuit(NODES + 500)
    assert len(bundle(many, verdicts=Verdicts())["circuit"]["nodes"]["score"]) == NODES + 500


def test_verdicts_on_more_units_stay_in_the_file():
    more = replace(JUDGED, units={**JUDGED.units, "resid.0/9": None})
    assert "resid.0/9" in {unit["address"] for unit in bundle(unit_circuit(), verdicts=more)["verdicts"]["units"]}


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="no units to judge"):
        bundle(unit_circuit().keep(unit_circuit().unit < 0), verdicts=Verdicts())
    with pytest.raises(ValueError, match="another dictionary"):
        bundle(unit_circuit("xyz"), verdicts=JUDGED)


def test_a_long_list_of_the_provenance_is_cut_short():
    ((name, shown),) = facts({"prompts_used": [str(i) for i in range(LISTED + 5)]})
    assert name == "prompts_used" and shown.startswith("0, 1, 2") and shown.endswith(f"{LISTED - 1}, and 5 more")
    assert facts({"prompts_used": ["a", "b"]}) == [("prompts_used", "a, b")]


def test_nodes_have_the_ids_of_the_attribution_graph():
    assert bundle(small_circuit())["ids"] == node_ids(small_circuit())
