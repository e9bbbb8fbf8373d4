"""Two circuits as one: nothing of either is lost, and each number says whose it is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from clew.apps._compared import compared
from clew.circuits.circuit import Circuit
from clew.labels import Labels
from clew.sites import Site
from tests.apps.test_bundle import small_circuit


def two() -> tuple[Circuit, Circuit]:
    """Four nodes; and the last three of them, one twice as strong and one unknown, and the edges between."""
    a = small_circuit()
    b = a.keep(np.array([1, 2, 3]))
    return a, replace(b, score=b.score * np.array([2.0, np.nan, 1.0]), labels=Labels.of({"resid.1/13": "three"}))


def test_each_node_says_who_has_it_and_what_each_says():
    a, b = two()
    sides = compared(a, b, ("one", "two"))["sides"]
    assert sides["names"] == ["one", "two"]
    assert [node["side"] for node in sides["nodes"]] == ["a", "both", "both", "both"]
    assert sides["nodes"][1]["b"] == 2 * sides["nodes"][1]["a"] == 2 * a.score[1] and sides["nodes"][2]["b"] is None
    assert [edge["side"] for edge in sides["edges"]] == ["a", "both", "both", "both"]


def test_the_circuit_of_both_has_the_stronger_numbers_and_the_labels_of_both():
    a, b = two()
    both = Circuit.from_json(compared(a, b)["circuit"])
    assert both.keys() == a.keys() and both.score[1] == b.score[0]
    assert both.labels.name("resid.1/13") == "three" and both.labels.name("resid.1/11") == a.labels.name("resid.1/11")
    assert compared(b, a)["sides"]["nodes"][-1]["side"] == "b"
    assert Circuit.from_json(compared(b, a)["circuit"]).score[1] == a.score[2]  # a number, where one has none


def test_it_is_plain_json_and_sites_keep_their_order():
    a, b = two()
    late = replace(
        b, sites=(Site("mlp", 0), Site("resid", 2)), units={Site("mlp", 0): 16, Site("resid", 2): 16}, labels=Labels()
    )
    said = json.loads(json.dumps(compared(late, a), allow_nan=False))
    assert [site["site"] for site in said["circuit"]["sites"]] == ["mlp.0", "resid.1", "resid.2"]
    assert len(said["names"]) == len(said["circuit"]["nodes"]["score"]) == len(said["sides"]["nodes"]) == 6


def test_what_cannot_be_compared_is_refused():
    a, _ = two()
    with pytest.raises(ValueError, match="of units and one of weights"):
        compared(a, a.with_kind(of="weights"))
    with pytest.raises(ValueError, match="16 and 99 units at mlp.0"):
        compared(a, replace(a, units={**a.units, Site("mlp", 0): 99}))
