"""clew explain: rules of units in an index, scored beside floors, kept in it and named in a circuit."""

import json
from pathlib import Path

import numpy as np
import pytest

import clew
from clew.apps.cli import run
from clew.circuits.circuit import Circuit
from clew.sites import Site
from tests.models.tiny import WORDS
from tests.readings.index.planted import KING, VERY, model, words_dictionary

SITE = Site("embed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of words in random order, so that nothing but the word itself says where a unit fires."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 30)) for _ in range(150)]
    windows = clew.cut(texts, model().tokenizer, context=32, packing="documents")
    to = tmp_path_factory.mktemp("of") / "index"
    clew.index(model(), [words_dictionary()], windows, to=to)
    return to


def typed(*words: object) -> int:
    return run([str(word) for word in words])


def circuit(path: Path) -> Path:
    """Two units of the index, one of another site and an error."""
    other = Site("resid", 1)
    columns = {"site": np.array([0, 0, 0, 1]), "unit": np.array([KING, VERY, -1, 3]), "score": np.arange(4.0)}
    made = Circuit((SITE, other), {SITE: 40, other: 8}, position=np.full(4, -1), patch_mean=np.zeros(4), **columns)
    return made.save(path)


def test_units_by_their_address_are_explained_and_kept(folder: Path, capsys) -> None:
    assert typed("explain", folder, "--units", f"embed/{KING}") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"embed/{KING}") and "king" in out and "above shuffled" not in out
    assert "detection AUROC 1.00" in out and "simulation r 0.9" in out
    ((address, label),) = clew.Index.load(folder).search("king")
    assert address == f"embed/{KING}" and label.kind == "rule" and label.scores


def test_the_units_of_a_circuit_get_names(folder: Path, tmp_path: Path, capsys) -> None:
    path = circuit(tmp_path / "c.json")
    assert typed("explain", folder, path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["labels"]["units"]) == {f"embed/{KING}", f"embed/{VERY}"} and said["silent"] == []
    named = Circuit.load(tmp_path / "c.named.json")
    assert said["saved"] == str(tmp_path / "c.named.json") and "king" in named[f"embed/{KING}"][0].label
    scores = {(row["measure"], row["of"]) for row in said["labels"]["units"][f"embed/{KING}"][0]["scores"]}
    assert ("detection AUROC", "above shuffled") in scores


def test_a_unit_of_which_no_rule_holds_is_said_each_time(folder: Path, capsys) -> None:
    for _ in range(2):
        assert typed("explain", folder, "--units", "embed/0", "--units", f"embed/{VERY}", "--json") == 0
        said = json.loads(capsys.readouterr().out)
        assert said["silent"] == ["embed/0"] and len(said["labels"]["units"][f"embed/{VERY}"]) == 1
    assert len(clew.Index.load(folder).labels.of(f"embed/{VERY}")) == 1


def test_what_is_not_in_the_index_is_said(folder: Path, tmp_path: Path, capsys) -> None:
    assert typed("explain", folder, circuit(tmp_path / "c.json")) == 0
    assert "left out: the units at resid.1, which are not in the index" in capsys.readouterr().err
    assert typed("explain", folder) == 1
    assert "say what to explain: a circuit after the index, or --units ADDRESS" in capsys.readouterr().err
    assert typed("explain", folder, "--units", "embed/king") == 1
    assert typed("explain", folder, "--units", f"embed/{KING}", "--by", "rulse") == 1
    assert "rules" in capsys.readouterr().err
