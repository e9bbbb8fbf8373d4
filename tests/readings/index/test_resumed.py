"""Explaining goes on where it was killed, and ends in the same labels."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clew
from clew.data.predicates import Clause, Predicate, Rule
from clew.explain.explainers.effects import effects
from clew.explain.explainers.rules import rules
from clew.firings import Fired, Firings, Held
from clew.readings.index._prints import print_of
from clew.readings.index.index import Index
from clew.readings.index.labels import LabelFile
from tests.explain.known import known, unit
from tests.readings.index.planted import indexed


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


TEXT = np.arange(400) % 8


def held(where: Sequence[int], words: str = "abcdefgh") -> Held:
    """One unit that fires at some kinds of token."""
    place = np.flatnonzero(np.isin(TEXT, where))
    rows = [Fired(place, np.ones(len(place))), Fired(np.arange(0), np.empty(0))]
    return Held(TEXT, range(0, 401, 20), {i: f" {word}" for i, word in enumerate(words)}, {"resid.1": rows})


def named(where: Path, firings: Firings, **options: Any) -> list[str]:
    given: dict[str, Any] = {"scorers": ("detection",), "floors": ()} | options
    made = clew.explain(firings, ["resid.1/0"], to=LabelFile(where), **given)
    return [label.text for label in made["resid.1/0"]]


def test_other_firings_of_the_same_text_are_explained_anew(tmp_path: Path) -> None:
    file = tmp_path / "labels.sqlite"
    assert ["a" in text for text in named(file, held([0]))] == [True]
    assert named(file, held([5])) == named(tmp_path / "new", held([5])) != named(file, held([0]))
    assert named(file, held([0], "ijklmnop")) == named(tmp_path / "other", held([0], "ijklmnop"))


@pytest.mark.parametrize("change", [{"run in": "float16"}, {"edits": ["Scale()"]}, {"keep": "top"}, {"seed": 7}])
def test_an_index_made_otherwise_has_another_print(tmp_path: Path, change: dict[str, Any]) -> None:
    index = indexed(tmp_path)
    same, other = Index.load(index.folder), replace(index, about={**index.about, **change})
    assert print_of(index) == print_of(same) != print_of(other)


def saying(word: str) -> Any:
    def by(firings: Firings, units: Sequence[str], table: Any = None) -> dict[str, tuple[Rule, ...]]:
        return {u: (Rule((Clause((Predicate("word", (word,)),), 1.0),)),) for u in units}

    return by


def told(firings: Firings, units: Sequence[str], table: Any = None, *, words: Any) -> dict[str, tuple[Rule, ...]]:
    return saying("abcdefgh"[int(words[500])])(firings, units, table)


def test_functions_of_one_name_are_told_apart_by_what_they_do(tmp_path: Path) -> None:
    file = tmp_path / "labels.sqlite"
    assert named(file, held([0]), by=saying("a")) != named(file, held([0]), by=saying("b"))
    few, many = np.zeros(2000), np.zeros(2000)
    many[500] = 3
    assert repr(few) == repr(many)
    assert named(file, held([0]), by=told, words=few) != named(file, held([0]), by=told, words=many)
    bound = [partial(told, words=words) for words in (few, many)]
    assert named(file, held([0]), by=bound[0]) != named(file, held([0]), by=bound[1])


class Called:
    def __init__(self, size: float) -> None:
        self.size = size

    def __call__(self) -> float:
        return self.size


def test_a_print_is_the_same_of_the_same_alone() -> None:
    for one, same, other in [
        (lambda x: x + 1, lambda x: x + 1, lambda x: x + 2),
        (lambda x: min(x), lambda x: min(x), lambda x: max(x)),
        (lambda x=1: x, lambda x=1: x, lambda x=2: x),
        (lambda *, x=1: x, lambda *, x=1: x, lambda *, x=2: x),
        (lambda x: x in {"a", "b"}, lambda x: x in {"b", "a"}, lambda x: x in {"a", "c"}),
        (lambda: [i + 1 for i in ()], lambda: [i + 1 for i in ()], lambda: [i + 2 for i in ()]),
        (partial(named, a=1), partial(named, a=1), partial(named, a=2)),
        (Called(1.0), Called(1.0), Called(2.0)),
        (Called(1.0).__call__, Called(1.0).__call__, Called(2.0).__call__),
        (np.zeros(3), np.zeros(3), np.zeros((3, 1))),
        (torch.zeros(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.bfloat16), torch.zeros(3)),
        ({"b", "a"}, {"a", "b"}, {"a"}),
        (held([0]), held([0]), held([1])),
    ]:
        assert print_of(one) == print_of(same) != print_of(other)
    assert len({print_of(one) for one in (rules, effects, np.add, print)}) == 4


def test_a_function_that_calls_itself_has_a_print() -> None:
    def again(n: int) -> int:
        return n and again(n - 1)

    assert print_of(again) == print_of(again)
