from pathlib import Path

import pytest

from clew.studies.comparison.results import Results


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
