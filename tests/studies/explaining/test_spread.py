from functools import partial
from pathlib import Path

import pytest

import clew
from clew.readings.index.index import Index
from clew.scale.workers import Workers
from clew.studies.explaining.spread import spread
from tests.readings.index.planted import indexed, words_dictionary

UNITS = [f"embed/{unit}" for unit in range(3, 23)]
HOW = {"by": "rules", "scorers": None, "floors": ("shuffled",), "windows": None}


def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many units each later call of the explainer is asked for."""
    from clew.explain.explainers import rules

    asked, plain = list[int](), rules.rules

    def rules_(firings, units, *args, **options):
        asked.append(len(units))
        return plain(firings, units, *args, **options)

    monkeypatch.setattr(rules, "rules", rules_)
    return asked


def started(folder: Path) -> Index:
    return Index.load(folder)


@pytest.mark.parametrize("workers", [Workers(), Workers("pool", 1, 1)])
def test_what_workers_find_is_what_one_process_finds_and_is_found_done(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = indexed(tmp_path / "index", words_dictionary())
    want = clew.explain(made, UNITS, **HOW).to_json()
    spread(partial(started, tmp_path / "index"), made, UNITS, HOW, workers)
    assert not (tmp_path / "index" / "labels.work").exists()
    asked = calls(monkeypatch)
    assert clew.explain(made, UNITS, to=made.labels, **HOW).to_json() == want and asked == []
    kept = made.labels.all().to_json()
    spread(partial(started, tmp_path / "index"), made, UNITS, HOW, Workers())
    assert made.labels.all().to_json() == kept and asked == []


def test_what_is_no_rule_is_not_spread(tmp_path: Path) -> None:
    made = indexed(tmp_path / "index", words_dictionary())
    with pytest.raises(ValueError, match="only rules are made in workers"):
        spread(partial(started, tmp_path / "index"), made, UNITS, {**HOW, "by": "effects"}, Workers("pool", 1))


def test_units_that_fail_are_an_error_and_what_is_done_stays(tmp_path: Path) -> None:
    made = indexed(tmp_path / "index", words_dictionary())
    with pytest.raises(RuntimeError, match=r"2 parts of the units failed(.|\n)*nothing_known"):
        spread(partial(started, tmp_path / "index"), made, UNITS, {**HOW, "scorers": ("nothing_known",)}, Workers())
    assert (tmp_path / "index" / "labels.work").exists()
    assert len([row for row in made.labels.kept(UNITS) if row[0].startswith("explained")]) == len(UNITS)
