"""clew index on a tiny model: what is typed is what is indexed."""

import json
from pathlib import Path

import pytest

import clew
from clew.apps.cli import run
from tests.models.tiny import model_of, relu_dictionary


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> clew.Model:
    """A folder with a text and a dictionary, and a `clew.open` that opens a tiny model."""
    model = model_of()
    monkeypatch.setattr(clew, "open", lambda name, **options: model, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("the nurse said that she was old .\n\nthe king was red and the queen said so .\n\na man .")
    relu_dictionary(model, "resid.1").save("sae.safetensors")
    return model


def typed(words: str) -> int:
    return run(words.split())


def test_an_index_is_made_and_summed_up(tiny, capsys) -> None:
    assert typed("index tiny sae.safetensors,heads a.txt --to fires --context 8 --json") == 0
    said, index = json.loads(capsys.readouterr().out), clew.Index.load("fires")
    assert [*said["sites"]] == [str(site) for site in index.sites] == ["head.0", "head.1", "resid.1", "head.2"]
    assert said["positions"] == index.about["positions"] and said["documents"] == 3 and said["keep"] == "all"
    assert said["firings"] == sum(int(index.summary(site).count.sum()) for site in index.sites)
    assert typed("index tiny sae.safetensors,heads a.txt --to fires --context 8") == 0
    assert "of 4 sites in" in capsys.readouterr().out


def test_a_small_one(tiny) -> None:
    assert typed("index tiny neurons a.txt --to fires --keep top --top 3 --sample 2 --seed 4") == 0
    about = clew.Index.load("fires").about
    assert (about["keep"], about["top"], about["sample"], about["seed"]) == ("top", 3, 2, 4)


def test_what_is_missing_is_said(tiny, capsys) -> None:
    assert typed("index tiny sae.safetensors --to fires") == 1
    assert "name a text to read after the dictionaries" in capsys.readouterr().err


def test_an_interrupted_index_says_how_to_go_on(tiny, monkeypatch, capsys) -> None:
    def stopped(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(clew, "index", stopped, raising=False)
    assert typed("index tiny sae.safetensors a.txt --to fires") == 130
    assert "the same command goes on where it stopped" in capsys.readouterr().err


def test_of_several_processes_one_says_that_it_is_done(tiny, monkeypatch, capsys) -> None:
    monkeypatch.setattr(clew, "index", lambda *given, **options: None, raising=False)
    assert typed("index tiny sae.safetensors a.txt --to fires") == 0
    assert "has done its share of fires" in capsys.readouterr().err
