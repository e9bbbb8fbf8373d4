"""clew index on a tiny model: what is typed is what is indexed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import clew
from clew.apps.cli import run
from tests.models.tiny import WORDS, model_of, relu_dictionary
from tests.readings.index.planted import files, signed_dictionary

ALIKE = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
"""As torchrun has it: sums of other numbers of threads may differ in their last digit."""


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


def test_some_layers_of_a_pack(tiny, capsys) -> None:
    for layer in range(3):
        relu_dictionary(tiny, f"resid.{layer}").save(f"saes/{layer}.safetensors")
    assert typed("index tiny saes a.txt --to fires --context 8 --layers 0 2") == 0
    assert [str(site) for site in clew.Index.load("fires").sites] == ["resid.0", "resid.2"]
    assert typed("index tiny saes a.txt --to other --layers 0 7") == 1
    assert "--layers 7: there is no dictionary; those of saes are at 0, 1, 2" in capsys.readouterr().err


def test_an_index_of_little_text_says_so(tiny, capsys, monkeypatch) -> None:
    assert typed("index tiny sae.safetensors a.txt --to fires --context 8") == 0
    n = clew.Index.load("fires").about["positions"]
    assert f"made from {n} positions: names from so few are guesses; 100,000 or more" in capsys.readouterr().err
    monkeypatch.setattr("clew.apps.cli._thin.FEW", n)
    assert typed("index tiny sae.safetensors a.txt --to fires --context 8") == 0
    assert "guesses" not in capsys.readouterr().err


def test_a_small_one(tiny) -> None:
    assert typed("index tiny neurons a.txt --to fires --keep top --top 3 --sample 2 --seed 4") == 0
    about = clew.Index.load("fires").about
    assert (about["keep"], about["top"], about["sample"], about["seed"]) == ("top", 3, 2, 4)


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["all", "top"])
def test_torchrun_shares_an_index(tmp_path: Path, keep: str) -> None:
    model, random = model_of(), np.random.default_rng(0)
    model.body.module.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    signed_dictionary().save(tmp_path / "sae.safetensors")
    lines = [" ".join(random.choice(WORDS, 30)) for _ in range(900)]
    (tmp_path / "a.txt").write_text("\n\n".join(lines))
    files_of = list[dict[str, bytes]]()
    for to, start in (("alone", ()), ("shared", ("torch.distributed.run", "--nproc-per-node", "2", "-m"))):
        words = [sys.executable, "-m", *start, "clew.apps.cli", "index", "model", "sae.safetensors,heads", "a.txt"]
        words += ["--to", to, "--keep", keep, "--context", "32"]
        ran = subprocess.run(
            words, cwd=tmp_path, env={**os.environ, **ALIKE}, capture_output=True, text=True, timeout=300
        )
        assert ran.returncode == 0, ran.stderr
        files_of.append(files(tmp_path / to))
    assert files_of[0] == files_of[1]
    assert json.loads(files_of[0]["index.json"])["chunks"] == 4


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
