"""clew plan: what is cut, what is foretold, and one command planned and run in processes of their own."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from clew.apps.cli import _trial, parsed, run
from clew.apps.cli._sizes import elsewhere, size_of
from clew.apps.cli._terminal import heard

GROWS = [0]
"""Bytes by which memory grows with each item, up to forty."""
CAME = ["wiring"]
"""How far the first seconds of the whole come."""
PLANTED = "planted/induction planted/induction"


def given(words: str) -> Any:
    return parsed(words.split())[1]


def part(words: str, n: int) -> Any:
    return size_of(words.split()[0], given(words)).part(n)


@pytest.mark.parametrize(
    ("words", "what", "whole", "first"),
    [
        (f"find {PLANTED} --examples 60", "prompt pairs", 60, 8),
        (f"find {PLANTED} --examples 3", "prompt pairs", 3, 3),
        (f"find {PLANTED} --by eap", "prompt pairs", 32, 8),
        (f"verify {PLANTED} circuit.json --examples 20", "prompt pairs", 20, 8),
        ("verify m --dictionary d --text t --tokens 9000", "tokens", 9000, 4096),
        ("bench circuits --model m", "prompt pairs", 40, 8),
        ("index m d text --to i", "tokens", 100_000, 4096),
        ("record m text --sites resid.1 --to s --tokens 500", "tokens", 500, 500),
        ("train store --to t --steps 1000 --k 4", "steps", 1000, 20),
        ("atlas m text --to a --positions 600000 --k 1000", "positions of the text", 600_000, 7200),
    ],
)
def test_what_the_work_of_a_command_grows_with(words: str, what: str, whole: int, first: int) -> None:
    found = size_of(words.split()[0], given(words))
    assert (found.what, found.whole, found.first) == (what, whole, first)


def test_options_of_a_method_are_taken_from_words_of_any_kind() -> None:
    words = ("train", "store", "--to", "t", "--steps", "9", "--by", "topk", "--k", "4")
    assert parsed(words)[1] == parsed(list(words))[1]


def test_a_part_is_the_command_with_less_of_it() -> None:
    assert part(f"find {PLANTED} --examples 60", 8)["asked"].examples == 8
    assert part("verify m --dictionary d --text t", 4096)["text"].tokens == 4096
    assert part("index m d text --to i", 4096)["tokens"] == 4096
    assert part("train store --to t --steps 1000 --k 4", 20)["steps"] == 20
    atlas = part("atlas m text --to a --positions 600000 --k 1000 500", 7200)
    assert atlas["finding"].positions == 7200 and atlas["grouping"].k == (6, 12)


def test_results_go_elsewhere_and_nothing_else_does(tmp_path: Path) -> None:
    moved = elsewhere(given(f"verify {PLANTED} circuit.json --out report.json"), tmp_path)
    assert moved["written"].out == tmp_path / "report.json" and moved["written"].html is None
    assert moved["circuit"] == Path("circuit.json")
    index = tmp_path / "index"
    index.mkdir()
    for name in ("index.json", "labels.sqlite", "labels.sqlite-wal"):
        (index / name).touch()
    moved = elsewhere({"index": index, "to": Path("folder/named.json")}, tmp_path / "made")
    assert [path.name for path in moved["index"].iterdir()] == ["index.json"]
    assert moved["to"] == tmp_path / "made" / "named.json"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Commands take ten seconds, and half a second for each item; what is asked of it."""
    asked = list[Any]()

    def ran(words: dict[str, Any], shown: Any = None, patience: Any = None) -> Any:
        asked.append(words)
        n = words.get("n", 60)
        memory = 2**30 + GROWS[0] * min(n, 40)
        came = CAME[0] if "beats" in words else "wiring"
        return {"gpu": 0, "heights": {"searching": [2**29], came: [2**29, memory]}}, _trial.Used(
            10 + n / 2, n / 2, memory
        )

    monkeypatch.setattr(_trial, "_run", ran)
    return asked


def test_parts_grow_until_they_agree_and_the_forecast_is_said(machine: list[Any], capsys: Any) -> None:
    assert run(f"plan find {PLANTED} --by eap --examples 60".split()) == 0
    said = capsys.readouterr().out
    assert [one["n"] for one in machine] == [8, 16, 32]
    assert (
        f"clew find {PLANTED} --by eap --examples 60: 60 prompt pairs\n  time        40 s\n  processors  30 s\n" in said
    )
    assert "from parts of it: 8 in 14 s, 16 in 18 s, 32 in 26 s" in said


def test_a_plan_that_would_take_too_long_says_what_it_has(machine: list[Any], capsys: Any) -> None:
    assert run(f"plan --within 20 --json find {PLANTED} --examples 60".split()) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["n"] for one in machine] == [8, 60] and told["seconds"] == {"value": 105.0, "low": 14.0, "high": 105.0}


def test_the_whole_is_begun_where_memory_grows(
    machine: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("tests.apps.cli.test_plan.GROWS", [2**26])
    assert run(f"plan --json find {PLANTED} --by eap --examples 100".split()) == 0
    told = json.loads(capsys.readouterr().out)["memory"]
    assert [one["n"] for one in machine] == [8, 16, 32, 100]
    assert told["value"] == told["low"] == 2**30 + 40 * 2**26
    monkeypatch.setattr("tests.apps.cli.test_plan.CAME", ["searching"])
    assert run(f"plan --json find {PLANTED} --by eap --examples 100".split()) == 0
    told = json.loads(capsys.readouterr().out)["memory"]  # these seconds did not come to where most is held
    assert told["value"] == 2**30 + 100 * 2**26


def test_what_it_took_stands_beside_what_was_foretold(machine: list[Any], capsys: Any) -> None:
    assert run(f"plan --go find {PLANTED} --examples 60".split()) == 0
    said = capsys.readouterr().out
    assert (
        "it took\n  time        40 s (+0% of 40 s)\n" in said and "  memory      1.00 GiB (+0% of 1.00 GiB)\n" in said
    )
    assert "n" not in machine[-1] and "folder" not in machine[-1]


def test_a_part_that_is_cut_off_tells_by_how_far_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"words": f"find {PLANTED} --by eap".split(), "folder": str(tmp_path), "n": 8, "limit": 0.0}
    monkeypatch.setattr(sys, "argv", ["", json.dumps({**asked, "start": 0.0, "answer": str(tmp_path / "answer")})])
    before = heard.get()
    try:
        assert _trial.child() == 0
    finally:
        heard.set(before)
    said = json.loads((tmp_path / "answer").read_text())
    assert 0 < said["share"] <= 1 and said["begun"] <= said["at"]
    cut = said | {"begun": 4.0, "at": 6.0, "share": 0.1}
    monkeypatch.setattr(_trial, "_run", lambda *args: (cut, _trial.Used(6.5, 12.0, 5)))
    found = _trial.trial(["find"], 8, 1.0)
    assert [(one.items, one.seconds, one.cpu) for one in found] == [(0, 4.0, 8.0), (8, 24.0, 48.0)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("plan", "say what is planned"),
        ("plan --within 0 models", "--within is 0"),
        ("plan models", "does not grow with prompts, tokens, steps or units"),
        ("plan atlas m text --to a", "say how much of the text is read, by --positions"),
        ("plan verify m --dictionary d --text t --tokens none", "by --tokens"),
        ("plan explain i --units resid.1/1 --asks http://localhost:1", "is counted before it is asked"),
        ("plan fnd a b", 'Unknown command "fnd"'),
    ],
)
def test_what_cannot_be_planned_is_said(words: str, said: str, capsys: Any) -> None:
    assert run(words.split()) in (1, 2)
    assert said in capsys.readouterr().err


def test_a_command_is_planned_and_run_in_processes_of_its_own(tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(f"plan --go --json find {PLANTED} --examples 4 --top 3".split()) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["n"] == 4 and [one["items"] for one in told["trials"]] == [4]
    assert told["took"]["seconds"] > 0 and 2**26 < told["took"]["memory"] < 2**33
    assert [path.name for path in tmp_path.iterdir()] == ["circuit.json"]
    (tmp_path / "clew").mkdir()
    (tmp_path / "clew" / "__init__.py").touch()  # another clew that lies where one works
    (tmp_path / "broken.json").write_text("{")
    assert run(f"plan verify {PLANTED} broken.json".split()) == 1
    assert "broken.json" in capfd.readouterr().err
