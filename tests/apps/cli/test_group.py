"""clew group: what is grouped, tried and saved, for people and for machines."""

import json
from pathlib import Path

import pytest

import clew
from clew.circuits.circuit import Circuit
from tests.apps.cli.toys import typed
from tests.circuits.formats.test_attribution_graph import grouped, small_circuit
from tests.circuits.test_grouping import pair
from tests.models.tiny import model_of


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair().save("c.json")


def test_groups_are_told_and_saved_beside_the_circuit(here, capsys):
    before = Path("c.json").read_bytes()
    assert typed("group c.json") == 0
    out = capsys.readouterr().out
    assert "1 group; 3 of 5 nodes stay alone" in out and "not tried  resid.1/1, resid.1/0" in out
    assert Circuit.load("c.grouped.json").supernodes[0].members == ("resid.1/1", "resid.1/0")
    assert Path("c.json").read_bytes() == before


def test_what_is_shown_says_the_group(here, capsys):
    assert typed("group c.json") == 0
    assert "next: clew group c.json MODEL BEHAVIOUR" in capsys.readouterr().err
    assert typed("show c.grouped.json") == 0
    assert "resid.1/1  in “resid.1/1 and 1 mo" in capsys.readouterr().out
    assert "in \\u201cresid.1/1 and 1 more" in (page := Path("c.grouped.html").read_text()) or "in “resid.1/1" in page


def test_machines_read_the_same(here, capsys):
    assert typed("group c.json --similar 0.99 --json --to made.json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["saved"] == "made.json" and said["report"] is None
    assert said["supernodes"] == [
        {"name": "resid.1/1 and 1 more", "members": ["resid.1/1", "resid.1/0"], "accepted": None}
    ]


def test_the_groups_of_a_viewer_are_taken(here, capsys):
    small_circuit().save("small.json")
    grouped().save("view.json", format="subgraph")
    assert typed("group small.json --subgraph view.json") == 0
    assert Circuit.load("small.grouped.json").supernodes[0].name == "plural"


def test_with_a_model_groups_are_tried(place, capsys):
    view = model_of("llama").neurons("resid.0", "resid.1")
    task = clew.Behaviour.load("pairs.jsonl", model=view)
    found = clew.find(view, task, by="attribution_patching", positions=False).top(12)
    clew.find(view, task, found, by="edges").save("c.json")
    assert typed("group c.json llama pairs.jsonl --neurons resid.0 resid.1 --all-pairs --similar 0.1 --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["supernodes"] and {group["accepted"] for group in said["supernodes"]} <= {True, False}
    assert {"predicted", "joint", "kept", "accepted"} <= {row["measure"] for row in said["report"]["rows"]}
    assert [node.accepted for node in Circuit.load("c.grouped.json").supernodes] == [
        group["accepted"] for group in said["supernodes"]
    ]


def test_what_is_missing_is_said(here, capsys):
    assert typed("group c.json llama") == 1
    assert "give both after the circuit, or neither" in capsys.readouterr().err
    pair().keep_edges(pair().source < 0).save("bare.json")
    assert typed("group bare.json") == 1
    assert "this circuit has none; wire it" in capsys.readouterr().err
