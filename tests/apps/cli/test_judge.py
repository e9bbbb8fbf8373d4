"""clew judge: asked, told or merged, it writes one file and goes on with it."""

import json
import os
from pathlib import Path

import pytest

from clew.apps.cli import run
from clew.circuits.verdicts import Verdicts
from tests.circuits.test_verdicts import circuit


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    circuit(top_tokens={"resid.0/3": [" she", " her"]}, examples={"resid.0/3": ["said «she» to"]}).save("c.json")
    return tmp_path


def answer(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    waiting = iter(answers)

    def say(prompt: str) -> str:
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", say)


def verdicts() -> list[str | None]:
    return [ruling and ruling.verdict for ruling in Verdicts.load("j.json").units.values()]


def test_units_are_asked_for_one_by_one(monkeypatch, capsys) -> None:
    answer(monkeypatch, "d fires on she", "k", "s")
    assert run("judge c.json --out j.json --by Ada".split()) == 0
    assert verdicts() == ["drop", "keep", None]
    ruling = Verdicts.load("j.json")["resid.0/3"]
    assert ruling.reason == "fires on she" and ruling.judge == "Ada"
    said = capsys.readouterr()
    assert "' she' ' her'" in said.err and "'said «she» to'" in said.err and "1 dropped, 1 kept, 1 open" in said.out


def test_undo_and_quit_and_going_on(monkeypatch, capsys) -> None:
    answer(monkeypatch, "u", "d", "u", "k", "what", "q")
    assert run("judge c.json --out j.json".split()) == 0
    assert verdicts() == ["keep", None, None] and "'what' is no answer" in capsys.readouterr().err
    answer(monkeypatch, "d")
    assert run("judge c.json --out j.json".split()) == 0
    assert verdicts() == ["keep", "drop", None]


def test_who_judges_has_the_file_alone(monkeypatch, capsys) -> None:
    seen = []

    def say(prompt: str) -> str:
        seen.append(run("judge c.json --out j.json --drop resid.0/8".split()))
        return "q" if len(seen) > 1 else "k"

    monkeypatch.setattr("builtins.input", say)
    assert run("judge c.json --out j.json".split()) == 0
    assert seen == [1, 1] and verdicts() == ["keep", None, None]
    assert f"j.json is in use by process {os.getpid()} on" in capsys.readouterr().err
    assert run("judge c.json --out j.json --drop resid.0/8".split()) == 0 and verdicts() == ["keep", None, "drop"]


def test_told_on_the_command_line_nothing_is_asked() -> None:
    words = [
        "judge",
        "c.json",
        "--out",
        "j.json",
        "--drop",
        "resid.0/3=she = her",
        "resid.0/8",
        "--keep",
        "resid.0/5=duty",
    ]
    assert run([*words, "--by", "Ada"]) == 0
    assert verdicts() == ["drop", "keep", "drop"] and Verdicts.load("j.json")["resid.0/3"].reason == "she = her"


def test_others_are_merged(capsys) -> None:
    Verdicts.of(circuit()).drop("resid.0/8", day="2026-01-01").save("other.json")
    assert run("judge c.json --out j.json --merge other.json --json".split()) == 0
    assert json.loads(capsys.readouterr().out)["open"] == 2 and verdicts() == [None, None, "drop"]


def test_what_is_no_unit_is_refused(capsys) -> None:
    assert run("judge c.json --out j.json --drop resid.0/error".split()) == 1
    assert "is no unit" in capsys.readouterr().err and not Path("j.json").exists()


def test_a_page_is_written_instead(capsys) -> None:
    assert run("judge c.json --out j.json --page j.html".split()) == 0
    assert "article" in Path("j.html").read_text() and "open j.html" in capsys.readouterr().out
