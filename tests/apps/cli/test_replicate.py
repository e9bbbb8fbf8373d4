"""clew replicate: what was saved is run again, and what agrees is said."""

import json
from pathlib import Path

import pytest

from tests.apps.cli.toys import found, typed

SEEN = "--through d.safetensors"


@pytest.fixture
def report(folder):
    found(SEEN)
    assert typed(f"verify tiny task.jsonl circuit.json --all-pairs {SEEN} --out report.json") == 0


def test_a_circuit_and_its_report_agree_when_they_are_run_again(report, capsys):
    for file in ("circuit.json", "report.json"):
        capsys.readouterr()
        assert typed(f"replicate {file} {SEEN} --json --out all.json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["format"] == "clew replication" and told["agrees"]
        assert set(told["results"][0]["counts"]) == {"same"}
        assert json.loads(Path("all.json").read_text()) == told


def test_what_is_missing_is_said_and_not_an_error(report, capsys):
    assert typed("replicate report.json") == 0
    assert "cannot be run again: the dictionaries at resid.1 are not there" in capsys.readouterr().out


def test_against_runs_nothing(report, capsys):
    capsys.readouterr()
    assert typed("replicate report.json --against report.json") == 0
    assert "same" in capsys.readouterr().out


def test_a_table_is_no_receipt(folder, capsys):
    Path("table.json").write_text('{"a": 1}')
    assert typed("replicate table.json") == 1
    assert "--against" in capsys.readouterr().err
