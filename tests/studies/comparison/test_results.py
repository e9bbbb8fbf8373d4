import json
from pathlib import Path
from threading import Thread

import pytest

from clew.report import Report, Row
from clew.studies.comparison.results import Cell, Results


def cell(key: str, failed: str = "") -> Cell:
    return Cell(key, "model", "behaviour", "heads", "eap", "top", failed)


def test_what_is_not_there_yet_is_empty(tmp_path):
    assert Results.at(tmp_path / "bench.json").cells == {}


def test_a_file_of_another_kind_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bench.json").write_text('{"format": "clew report"}')
    with pytest.raises(ValueError, match=r"bench.json is not a 'clew circuit bench' file"):
        Results.at(Path("bench.json"))
    Path("bench.json").write_text('{"format": "clew circuit bench", "version": 1, "cells": [{"key": "a"}]}')
    with pytest.raises(ValueError, match=r"cells\[0\] has no 'model'"):
        Results.at(Path("bench.json"))


def test_what_two_add_at_the_same_time_is_all_there(tmp_path):
    path = tmp_path / "bench.json"
    each = [Results.at(path), Results.at(path)]
    added = [Thread(target=lambda i=i: [each[i].add(cell(f"{i}/{n}")) for n in range(20)]) for i in (0, 1)]
    for thread in added:
        thread.start()
    for thread in added:
        thread.join()
    assert set(Results.at(path).cells) == {f"{i}/{n}" for i in (0, 1) for n in range(20)}
    assert list(tmp_path.iterdir()) == [path]


def test_what_failed_gives_way_to_what_did_not_whoever_was_first(tmp_path):
    one, two = Results.at(tmp_path / "bench.json"), Results.at(tmp_path / "bench.json")
    one.add(cell("a"))
    one.add(cell("b", "no memory"))
    two.add(cell("a", "no memory"))
    two.add(cell("b"))
    assert two.finished("a") and two.finished("b") and Results.at(tmp_path / "bench.json").cells == two.cells
    two.add(cell("c", "no memory"))
    two.add(cell("c", "no time"))
    assert two.cells["c"].failed == "no time"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.update(cells=v["cells"] * 2), "holds two cells of one key"),
        (lambda v: v["cells"][0].update(sizes="0.1"), r"cells\[0\]: sizes is '0.1'|sizes is '0.1'; a list is due"),
        (lambda v: v["cells"][0]["cost"].update(seconds="1"), r"cost.*seconds is '1'; a finite number is due"),
        (lambda v: v["cells"][0]["report"]["rows"][0].pop("unit"), r"rows\[0\] has no 'unit'"),
        (lambda v: v["cells"][0].pop("flags"), "has no 'flags'"),
        (lambda v: v.update(more=1), "has 'more', which is none of"),
        (lambda v: v.update(version=True), "version is True; a whole number is due"),
    ],
)
def test_a_cell_is_what_was_written(tmp_path, change, said):
    path = tmp_path / "bench.json"
    report = Report("a", (Row("f", 0.5, 0.25, 0.75),)).to_json()
    Results.at(path).add(Cell("key", "m", "b", "edges", "eap", "top", report=report, cost={"seconds": 1.5}))
    assert Results.at(path).cells["key"].rows("f", "")[0].value == 0.5
    change(value := json.loads(path.read_text()))
    path.write_text(json.dumps(value))
    with pytest.raises(ValueError, match=rf"bench\.json.*({said})"):
        Results.at(path)
