"""clew diff: two files side by side, for people and for machines."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clew.apps.cli import run
from clew.circuits.circuit import Circuit
from clew.labels import Labels
from clew.sites import Site

SITE = Site("resid", 0)


def circuit(*units: int, **more: object) -> Circuit:
    """These units of one site, the first the strongest, each wired to the next."""
    unit = np.array(units)
    score = -1.0 - np.arange(len(unit))[::-1]
    wires = {"source": np.arange(len(unit) - 1), "target": np.arange(1, len(unit)), "weight": score[1:]}
    at = {"site": unit * 0, "unit": unit, "position": unit * 0 - 1, "score": score, "patch_mean": score}
    return replace(Circuit((SITE,), {SITE: 50}, **at, **wires, labels=Labels.of({"resid.0/9": "plural"})), **more)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    circuit(1, 2, 3, 9).save("a.json")
    circuit(1, 2, 3, 4, 5, 6).save("b.json")


def typed(words: str) -> int:
    return run(words.split())


def test_people_read_what_is_shared_and_what_is_not(files, capsys):
    assert typed("diff a.json b.json --draws 50 --shown 2") == 0
    out = capsys.readouterr().out
    assert "3 nodes shared, 1 only in the first, 3 only in the second; overlap 0.43" in out
    assert "2 edges shared, 1 only in the first, 3 only in the second" in out
    assert "only in the first of 4 nodes, all:\n  resid.0/9  -1  plural" in out
    assert "only in the second of 6 nodes, the strongest 2 of 3:\n  resid.0/4  -3" in out
    assert "chance overlap nodes, within sites" in out


def test_machines_read_counts_and_p(files, capsys):
    assert typed("diff a.json b.json --draws 99 --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["nodes"] == {"shared": 3, "first": 1, "second": 3}
    assert said["edges"] == {"shared": 2, "first": 1, "second": 3}
    p = {row["of"]: row["value"] for row in said["report"]["rows"] if row["measure"] == "p"}
    assert p["nodes, within sites"] <= 0.02 and said["only"]["first"][0]["label"] == "plural"


def test_only_the_strongest_are_compared_when_asked(files, capsys):
    assert typed("diff a.json b.json --n 2 --draws 9 --json") == 0
    assert json.loads(capsys.readouterr().out)["nodes"] == {"shared": 2, "first": 0, "second": 0}


def test_circuits_of_two_lenses_are_refused(files, capsys):
    circuit(1, 2, units={SITE: 60}).save("c.json")
    assert typed("diff a.json c.json") == 1
    assert "two dictionaries (50 and 60 units)" in capsys.readouterr().err


def test_a_page_shows_both_in_one_drawing(files, capsys):
    assert typed("diff a.json b.json --draws 50 --page both.html") == 0
    assert "saved as both.html" in capsys.readouterr().out
    assert '"names": ["a", "b"]' in Path("both.html").read_text()
