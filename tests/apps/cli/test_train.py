"""clew train and clew verify --dictionary on a tiny model: from a text to dictionaries, their measures and a page."""

import json
from pathlib import Path

import pytest

import clew
from clew.apps.cli import run
from clew.apps.cli.train import _plans
from tests.models.tiny import model_of

SENTENCES = "the nurse said that she was old . the king was red and the queen said so . a man said that he was not . "


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder with a text, and a `clew.open` that opens a tiny model."""
    model = model_of()
    monkeypatch.setattr(clew, "open", lambda name, **options: model, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("\n\n".join([SENTENCES * 2] * 12))


def typed(words: str) -> int:
    return run(words.split())


def test_from_a_text_to_dictionaries_and_a_page(tiny: None, capsys: pytest.CaptureFixture) -> None:
    assert typed("record tiny a.txt --sites resid.* --to s --tokens 400") == 0
    capsys.readouterr()
    words = "train s --sites resid.0 resid.1 --units 8 12 --k 2 --steps 5 --batch 100 --to d --json"
    assert typed(words) == 0
    said = json.loads(capsys.readouterr().out)["dictionaries"]
    assert [d["units"] for d in said] == [8, 12, 8, 12] and all(d["unexplained"] > 0 for d in said)
    found = clew.Dictionary.load("d")
    assert [str(d.reads) for d in found] == ["resid.0", "resid.0", "resid.1", "resid.1"]
    assert typed("verify tiny --dictionary d --text a.txt --tokens 200 --out r.json --html p.html") == 0
    out = capsys.readouterr().out
    assert "FVU" in out and "open p.html" in out and Path("p.html").read_text().startswith("<!doctype html>")
    reports = json.loads(Path("r.json").read_text())
    assert len(reports) == 4
    assert all(r["provenance"]["dictionary"]["meta"]["trained"]["objective"] == "topk" for r in reports.values())


def test_a_model_is_run_while_learning_by_another_objective(tiny: None) -> None:
    assert typed("train tiny --by relu --sites resid.1 --units 8 --penalty 0.2 --text a.txt --steps 3 --to d") == 0
    (made,) = clew.Dictionary.load("d")
    assert made.kind == "relu" and made.meta["trained"]["options"] == {"penalty": 0.2, "units": 8}
    assert made.meta["trained"]["source"]["policy"]["packing"] == "sentences"


def test_a_file_of_plans_mixes_kinds_and_sites(tiny: None) -> None:
    assert typed("record tiny a.txt --sites mlp_in.1 mlp.1 --to s --tokens 300") == 0
    plans = [
        {"by": "transcoder", "reads": "mlp_in.1", "writes": "mlp.1", "options": {"units": 8, "k": 2}},
        {"by": "abstopk", "reads": "mlp.1", "options": {"units": 6, "k": 2}, "name": "both ways"},
    ]
    Path("plans.json").write_text(json.dumps(plans))
    assert typed("train s --plans plans.json --steps 3 --batch 100 --to d") == 0
    assert Path("d/both ways.safetensors").exists() and {d.kind for d in clew.Dictionary.load("d")} == {
        "topk",
        "abstopk",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train tiny --sites resid.0 --k 2 --steps 1 --to d", "give it a --text to read"),
        ("train tiny --text a.txt --k 2 --steps 1 --to d", "say at which sites"),
        ("train tiny --by topp --text a.txt --steps 1 --to d", "topk"),
        (
            "train tiny --sites resid.0 --writes mlp.1 mlp.2 --text a.txt --k 2 --steps 1 --to d",
            "--writes names 2 sites",
        ),
        ("train tiny --plans a.txt --text a.txt --steps 1 --to d", "is no list of plans"),
        ("train tiny --sites resid.0 --text a.txt --steps 1 --to d --log wandbb --k 2", "not a tracker"),
        ("verify tiny --dictionary d --tokens 20", "no file or folder 'd'|--text"),
        ("verify tiny agreement/simple", "give a behaviour and a circuit, --dictionary"),
        ("verify tiny agreement/simple c.json --dictionary d --text a.txt", "leave behaviour"),
    ],
)
def test_mistakes_are_one_sentence(tiny: None, capsys: pytest.CaptureFixture, words: str, said: str) -> None:
    assert typed(words) == 1
    import re

    assert re.search(said, capsys.readouterr().err.replace("\n", " "))


PLAN = {"by": "topk", "reads": "resid.0", "options": {"units": 9, "k": 2}}


@pytest.mark.parametrize(
    ("plans", "said"),
    [
        (PLAN, "holds a dict; it is no list of plans"),
        (["topk"], "entry 0 is 'topk'; an object is due"),
        ([{**PLAN, "opitons": {}}], "entry 0 has 'opitons', which is none of"),
        ([{"by": "topk"}], "entry 0 has no 'reads'"),
        ([{**PLAN, "reads": [3]}], r"entry 0.*reads\[0\] is 3; text is due"),
        ([{**PLAN, "seed": "1"}], "seed is '1'; a whole number is due"),
        ([{**PLAN, "options": []}], r"options is \[\]; an object is due"),
    ],
)
def test_a_file_of_plans_is_typed(tmp_path: Path, plans: object, said: str) -> None:
    (tmp_path / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ValueError, match=rf"plans\.json.*{said}"):
        _plans(tmp_path / "plans.json")
