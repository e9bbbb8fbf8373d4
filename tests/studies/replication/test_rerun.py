"""What became of a file that was run again, saved and read back."""

import json
import math

import pytest

from clew.report import Report, Row
from clew.studies.replication._numbers import Number
from clew.studies.replication.replicate import Replication, compared
from clew.studies.replication.rerun import Rerun


def rerun(*verdicts: str) -> Rerun:
    numbers = tuple(Number(f"n{i}", 1.0, 2.0, verdict) for i, verdict in enumerate(verdicts))
    return Rerun.of("folder/r.json", [Replication("r.json", numbers, ("part 2: no model",), ("a note",), 1.5)])


def test_what_is_saved_is_read_back(tmp_path):
    made = rerun("same", "differs")
    again = Rerun.load(made.save(tmp_path / "again.json"))
    assert again.to_json() == made.to_json()
    assert math.isnan(again.results[0].numbers[0].low)
    assert str(again) == "1 same, 1 differs, 1 parts not run again" and not again.agrees


def test_counts_that_are_not_those_of_the_numbers_are_refused(tmp_path):
    value = rerun("same", "differs").to_json()
    value["results"][0]["counts"] = {"same": 2}
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(ValueError, match=r"a\.json: results\[0\]\.counts"):
        Rerun.load(tmp_path / "a.json")


def test_a_report_that_is_missing_beside_another_is_told(tmp_path):
    report = Report("r", (Row("faithfulness", 0.5, 0.25, 0.75),)).to_json()
    for name, held in (("two", {"a": report, "b": report}), ("one", {"a": report})):
        (tmp_path / f"{name}.json").write_text(json.dumps(held))
    found = compared(tmp_path / "two.json", tmp_path / "one.json")
    assert [number.verdict for number in found.numbers] == ["same", "not there"]
