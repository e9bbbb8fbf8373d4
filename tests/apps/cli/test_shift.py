"""clew shift on the planted problem of tests/apps/shift."""

import json
from pathlib import Path

import pytest

import clew
from clew.apps.cli import run
from clew.circuits.circuit import Circuit
from clew.circuits.verdicts import Verdicts
from tests.studies.shift.test_experiment import MODEL, planted, texts

COMMAND = "shift toy --site embed --texts bios.jsonl --through all --words he she --epochs 20 --steps 1"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clew, "open", lambda name, **options: MODEL)
    monkeypatch.setattr(clew.Dictionary, "load", lambda name: list(planted().dictionaries))
    halves = [texts().train, texts().test]
    rows = {t: {"text": t, "profession": p, "gender": g} for half in halves
            for t, p, g in zip(half.texts, half["profession"], half["gender"], strict=True)}  # fmt: skip
    Path("bios.jsonl").write_text("\n".join(map(json.dumps, rows.values())))


def test_one_command_gives_the_table_the_circuit_and_the_report(capsys) -> None:
    assert run([*COMMAND.split(), "--circuit", "c.json", "--out", "r.json", "--json"]) == 0
    rows = {(r["of"], r["measure"]): r["value"] for r in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["original", "worst group"] == 0.0 < rows["SHIFT", "worst group"]
    assert Circuit.load("c.json").details["top_tokens"]["embed/1"] == ["he"]
    assert clew.Report.load("r.json")["worst group"].of == "original"


def test_a_person_overrules_the_rule(capsys) -> None:
    circuit, _ = planted().judged["features"]
    Verdicts.of(circuit).keep("embed/1", "fair enough").save("j.json")
    assert run([*COMMAND.split(), "--judged", "j.json"]) == 0
    assert "The judge dropped nothing" in capsys.readouterr().out


def test_pairs_must_be_pairs(capsys) -> None:
    assert run("shift toy --site embed --together nurse".split()) == 1
    assert "nurse=female professor=male; 'nurse' was given" in capsys.readouterr().err
