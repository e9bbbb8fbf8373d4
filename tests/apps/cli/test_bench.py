"""clew bench circuits: a table, a file that grows and a page, from one line."""

import json
from functools import partial
from pathlib import Path

import pytest

import clew
from clew.apps.cli import run
from clew.report import bootstrap
from clew.scale.work import work
from tests.models.tiny import model_of

PLANTED = "bench circuits --model planted/induction --examples 8 --sizes 0.1 1 --units components --out b.json"


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    monkeypatch.setattr(clew, "open", lambda name, **options: model, raising=False)
    monkeypatch.setattr("clew.measures.circuits._trial.bootstrap", partial(bootstrap, draws=50))
    monkeypatch.chdir(tmp_path)


def typed(words: str) -> int:
    return run(words.split())


def test_a_planted_model_gives_a_table_a_file_and_a_page(capsys: pytest.CaptureFixture) -> None:
    assert typed(f"{PLANTED} --searches attribution_patching --select top,bootstrap+ratio --html b.html") == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert "precision" in lines[0] and lines[2].startswith("planted induction in planted induction, components: ")
    assert lines[4].split()[:2] == ["attribution_patching,", "top"] and "saved as b.json; open b.html" in lines[-1]
    assert "planted induction, components, attribution_patching: CPR over log k" in said.err
    assert [c["select"] for c in json.loads(Path("b.json").read_text())["cells"]] == [
        "top", "top", "bootstrap+ratio",
    ]  # fmt: skip
    assert Path("b.html").read_text().startswith("<!doctype html>")


def test_the_same_line_again_runs_nothing(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed(f"{PLANTED} --searches attribution_patching") == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("clew.studies.comparison.circuits.find", lambda *_, **__: 1 / 0)
    assert typed(f"{PLANTED} --searches attribution_patching") == 0
    assert capsys.readouterr().out == first


def test_workers_elsewhere_give_the_same_table(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"{PLANTED} --searches attribution_patching --json"
    assert typed(line) == 0
    here = json.loads(capsys.readouterr().out)["cells"]
    Path("b.json").unlink()
    monkeypatch.setattr("clew.scale.on.pool.pool", one_here)
    assert typed(f"{line} --on pool --workers 1") == 0
    there = json.loads(capsys.readouterr().out)["cells"]
    assert [(c["key"], c["report"]["rows"]) for c in there] == [(c["key"], c["report"]["rows"]) for c in here]


def one_here(task, workers, watch):
    """In place of processes, which tests/scale starts."""
    work(task)


def test_machines_read_json(capsys: pytest.CaptureFixture) -> None:
    assert typed(f"{PLANTED} --searches attribution_patching --json") == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [c["search"] for c in cells] == ["random", "attribution_patching"]
    assert cells[1]["recovered"]["recall"] == 1 and cells[1]["cost"]["forwards"] == 2


def test_a_behaviour_of_a_file_is_posed_to_a_model_and_one_that_cannot_be_posed_is_a_row(
    capsys: pytest.CaptureFixture,
) -> None:
    pairs = []
    for he, she in (("king", "queen"), ("man", "woman")):
        for this, other, answers in ((he, she, (" he", " she")), (she, he, (" she", " he"))):
            values = (f"the {this} said", f"the {other} said", *answers)
            names = ("clean_prefix", "patch_prefix", "clean_answer", "patch_answer")
            pairs.append(json.dumps(dict(zip(names, values, strict=True))))
    Path("he.jsonl").write_text("\n".join(pairs))
    words = "bench circuits --model tiny --behaviours he.jsonl ioi --units heads --searches attribution_patching"
    assert typed(f"{words} --all-pairs --sizes 0.5 1 --json") == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [c["failed"] for c in cells[:2]] == ["", ""]
    assert [bool(c["failed"]) for c in cells] == [False, False, True, True]
    assert cells[1]["provenance"]["prompts"]["source"] == "he.jsonl" and "no pair of ioi" in cells[3]["failed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model planted/induktion", "did you mean 'induction'"),
        ("--model planted/ioi --behaviours ioi", "brings its one behaviour"),
        ("--model tiny --units edge", "did you mean 'edges'"),
        ("--model tiny --searches epa", "did you mean 'eap'"),
        ("--model tiny --searches eap --units heads", "none of eap ranks heads"),
        ("--model tiny --behaviours iio", "'iio' is neither a behaviour nor a file; did you mean 'ioi'"),
        ("--model tiny --behaviours ioi --units features", "name some by --through"),
        ("--model planted/ioi --sizes 1 0.1 --units components", "rising"),
    ],
)
def test_mistakes_are_one_sentence(capsys: pytest.CaptureFixture, words: str, said: str) -> None:
    assert typed(f"bench circuits {words}") == 1
    assert said in " ".join(capsys.readouterr().err.split()) and not Path("bench.json").exists()


def test_there_is_one_bench() -> None:
    assert typed("bench dictionaries --model tiny") == 2
