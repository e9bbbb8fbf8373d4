"""Explaining goes on where it was killed, and ends in the same labels."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.data.predicates import Clause, Predicate, Rule
from clew.firings import Firings
from clew.readings.index.labels import LabelFile
from tests.explain.known import known, unit


def addresses() -> list[str]:
    return list(dict.fromkeys([unit("months"), unit("modal verbs"), *map(known().address, range(5))]))[:5]


def rows(path: Path) -> list[Any]:
    """All that a file of labels holds, but for when it was written."""
    with sqlite3.connect(path) as file:
        return [
            file.execute(f"SELECT {what}").fetchall()
            for what in (
                "id, address, text, kind, scores, origin FROM labels ORDER BY id",
                "* FROM made ORDER BY part, address",
            )
        ]


def slowly(
    firings: Firings, units: Sequence[str], table: Any = None, *, silent: str = ""
) -> dict[str, tuple[Rule, ...]]:
    """A word of each unit, after a moment; nothing of one."""
    time.sleep(0.01)
    words = (("the",), ("may",), ("june",), ("in",))
    return {u: (Rule((Clause((Predicate("word", words[len(u) % 4]),), 1.0),) if u != silent else ()),) for u in units}


def work(path: Path, **options: Any) -> Any:
    given = {"by": slowly, "scorers": ("simulation",), "silent": addresses()[3]} | options
    return clew.explain(known().firings, addresses(), to=LabelFile(path), **given).to_json()["units"]


def killed(path: Path, after: float) -> bool:
    """Whether explaining was killed before it was done."""
    child = os.fork()
    if not child:
        work(path)
        os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_in_the_same_labels(tmp_path: Path) -> None:
    known(), addresses()
    start = time.perf_counter()
    whole = work(tmp_path / "whole")
    took, draw, kills = time.perf_counter() - start, random.Random(0), 0
    assert sum(map(len, whole.values())) == 4 and whole[addresses()[3]] == []
    for turn in range(60):
        path = tmp_path / f"killed {turn}"
        while kills < 20 and killed(path, draw.uniform(0.2, 1.0) * took):
            kills += 1
        assert work(path) == whole
        assert rows(path) == rows(tmp_path / "whole")
        if kills == 20:
            return
    pytest.fail(f"only {kills} kills")


def test_what_is_made_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = work(tmp_path / "labels.sqlite")
    before, asked = rows(tmp_path / "labels.sqlite"), list[str]()
    monkeypatch.setattr(time, "sleep", lambda seconds: asked.append("asked"))
    assert work(tmp_path / "labels.sqlite") == labels and not asked
    assert rows(tmp_path / "labels.sqlite") == before
    work(tmp_path / "labels.sqlite", silent="")
    assert asked and len(LabelFile(tmp_path / "labels.sqlite").of(addresses()[3])) == 1


def test_beside_other_units_it_is_scored_anew_and_said_once(tmp_path: Path) -> None:
    file, (one, other, *_) = LabelFile(tmp_path / "labels.sqlite"), addresses()
    (alone,) = clew.explain(known().firings, [one], to=file)[one]
    (beside,) = clew.explain(known().firings, [one, other], to=file)[one]
    floors = [{row.of for row in label.scores} for label in (alone, beside)]
    assert "above shuffled" not in floors[0] and "above shuffled" in floors[1]
    assert file.of(one) == (beside,) == clew.explain(known().firings, [one, other])[one]


def test_what_was_taken_back_is_made_again(tmp_path: Path) -> None:
    file, one = LabelFile(tmp_path / "labels.sqlite"), addresses()[0]
    work(file.path)
    assert file.remove(one) == 1
    assert len(work(file.path)[one]) == len(file.of(one)) == 1
