"""clew find on a small model: what it saves and prints says what the units fire on and promote."""

import json
from pathlib import Path

import numpy as np
import pytest

import clew
from clew.apps.cli import run
from clew.circuits.circuit import Circuit
from tests.models.tiny import model_of, relu_dictionary

PAIRS = [("nurse", "king", "she", "he"), ("queen", "man", "she", "he"), ("woman", "king", "she", "he")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A behaviour in a file, dictionaries in another, and a model that is opened by any name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clew, "open", lambda name, **options: model_of())
    rows = [
        {
            "clean_prefix": f"the {one} {word} that",
            "patch_prefix": f"the {other} {word} that",
            "clean_answer": f" {yes}",
            "patch_answer": f" {no}",
        }
        for one, other, yes, no in PAIRS
        for word in ("said", "was")
    ]
    Path("task.jsonl").write_text("\n".join(map(json.dumps, rows)))
    relu_dictionary(model_of(), "resid.1").save("d.safetensors")


def found(words: str) -> Circuit:
    assert run(f"find tiny task.jsonl --all-pairs --by attribution_patching {words}".split()) == 0
    return Circuit.load("circuit.json")


def test_every_unit_says_what_it_fires_on_and_promotes(capsys) -> None:
    circuit = found("--through d.safetensors --top 8")
    units = {node.address.partition("@")[0] for node in circuit if node.unit >= 0}
    for table in ("top_tokens", "examples", "promotes"):
        assert set(circuit.details[table]) == units
    assert any(circuit.details["top_tokens"].values()) and all(circuit.details["promotes"].values())
    assert set().union(*circuit.details["top_tokens"].values()) <= set(
        "nurse king queen man woman said was that".split()
    )
    out = capsys.readouterr().out
    assert "fires on" in out and "promotes" in out


def test_a_text_is_read_beside_the_prompts() -> None:
    Path("text.txt").write_text("a doctor was very good .")
    told = found("--neurons resid.1 --top 16 --text text.txt").details["top_tokens"]
    assert {"doctor", "very"} & set().union(*told.values())


def test_a_search_over_components_names_them(capsys) -> None:
    circuit = found("--top 30").details
    assert circuit["top_tokens"]
    assert run("find tiny task.jsonl --all-pairs --by eap --top 30".split()) == 0
    out = capsys.readouterr().out
    assert "of layer" in out and "->" in out and "promotes" in out


def test_the_strongest_of_json_say_it_too(capsys) -> None:
    found("--through d.safetensors --json --quiet")
    card = json.loads(capsys.readouterr().out)["strongest"][0]
    assert set(card) == {"address", "score", "label", "words", "fires_on", "promotes"}


def test_fewer_than_asked_are_explained(capsys) -> None:
    found("--neurons resid.1 --top 5000 --positions")
    assert "scored" in capsys.readouterr().err.partition("kept")[2]
    found("--neurons resid.1 --top 20 --significant .999")
    heard = capsys.readouterr().err
    assert "keep their sign with a confidence of 0.999" in heard
    assert run("find tiny task.jsonl --all-pairs --by eap --top 30 --select top+connected".split()) == 0
    assert "top+connected leaves out what lies on no path to the metric" in capsys.readouterr().err
    found("--neurons resid.1 --top 3")
    assert "kept" not in capsys.readouterr().err


def test_an_empty_circuit_is_saved_only_if_asked(capsys, monkeypatch) -> None:
    def nothing(*given, **options):
        circuit = find(*given, **options)
        return circuit.keep(np.zeros(0, int))

    find = clew.find
    monkeypatch.setattr(clew, "find", nothing)
    words = "find tiny task.jsonl --all-pairs --by attribution_patching"
    assert run(words.split()) == 1
    assert "nothing is left to save: 0 of 100 nodes; 0 were scored" in capsys.readouterr().err
    assert not Path("circuit.json").exists()
    assert run([*words.split(), "--empty"]) == 0
    assert not len(Circuit.load("circuit.json"))
