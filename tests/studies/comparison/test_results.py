from pathlib import Path
from threading import Thread

import pytest

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
