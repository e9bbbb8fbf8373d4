"""What pages are given of an atlas."""

import json
from dataclasses import replace

import pytest

from clew.apps._browsed import EXAMPLES, LETTERS, NODES, browsed
from clew.report import Row
from tests.apps.atlases import atlas


def test_it_says_how_many_there_are_of_what_and_how_it_was_made():
    told = browsed(atlas(12))
    assert told["title"] == "Behaviours of tiny"
    assert told["words"] == (
        "12 behaviours found in garden and harbour, 11 with a circuit; 2 trivial, 1 joined with another."
    )
    assert ["wiring nodes", "40"] in told["made"] and ["two samples agree at 4 clusters", "0.70"] in told["made"]


def test_sources_are_told_as_people_list_them():
    for sources, said in ((("a", "b", "c"), "a, b and c"), (("a",), "a"), ((), "no text")):
        assert f" found in {said}, 0 with" in browsed(atlas(0, sources=sources))["words"]


def test_a_circuit_is_told_by_its_strongest_nodes_beside_a_random_one():
    circuit = browsed(atlas(4))["entries"][0]["circuit"]
    assert len(circuit["nodes"]) == NODES < 40
    faithful, complete = circuit["shares"]
    assert (faithful["measure"], faithful["of"], faithful["size"], faithful["p"]) == ("faithfulness", "mean", 40, 0.5)
    assert faithful["random"] == [0.1, None, None] and complete["random"] is None
    assert circuit["checks"]["words"] == {"n": 0, "kept": None, "drop": None}


def test_a_number_that_is_none_is_null():
    one = atlas(4).entries[0]
    rows = (Row("faithfulness", float("nan"), float("nan"), float("inf")),)
    made = replace(atlas(4), entries=(replace(one, near=(), circuit=replace(one.circuit, rows=rows)),))
    assert browsed(made)["entries"][0]["circuit"]["shares"][0]["own"] == [None, None, None]


def test_long_contexts_keep_their_ends():
    examples = browsed(atlas(4, letters=3000))["entries"][0]["examples"]
    assert len(examples) == EXAMPLES
    assert all(one["text"][0] == "…" and len(one["text"]) == LETTERS + 1 for one in examples)
    assert [one["text"][-12:] for one in examples] == [f" {i} the stone" for i in range(EXAMPLES)]


@pytest.mark.parametrize(("shown", "sources"), [(None, {0, 1}), (["harbour"], {1}), ([], set())])
def test_contexts_of_a_source_that_may_not_be_shown_are_left_out(shown, sources):
    told = browsed(atlas(6), shown=shown)
    assert {e["source"] for one in told["entries"] for e in one["examples"]} == sources
    assert told["hidden"] == ([] if shown is None else [s for s in told["sources"] if s not in shown])


def test_a_source_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="there is no source 'field'; there are garden, harbour"):
        browsed(atlas(4), shown=["field"])


def test_an_atlas_without_behaviours_is_told():
    told = browsed(atlas(0))
    assert told["entries"] == [] and told["words"].startswith("0 behaviours found in garden and harbour")
    json.dumps(told, allow_nan=False)
