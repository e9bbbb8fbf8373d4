"""clew explain: rules of units in an index, scored beside floors, kept in it and named in a circuit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clew
from clew.apps.cli import run
from clew.circuits.circuit import Circuit
from clew.labels import Labels
from clew.sites import Site
from tests.models.tiny import WORDS
from tests.readings.asking.server import chat, serving
from tests.readings.index.planted import KING, VERY, model, words_dictionary

SITE = Site("embed")
DOES = 26
"""A word whose embedding changes what comes next as no random direction does."""


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
    assert typed("explain", folder, tmp_path / "c.json", "--units", f"embed/{KING}") == 1
    assert "give a circuit or --units, not both" in capsys.readouterr().err
    assert typed("explain", folder, "--units", "embed/king") == 1
    assert "'embed/king' is no unit; one reads resid.7/12" in capsys.readouterr().err
    assert typed("explain", folder, "--units", f"embed/{KING}", "--by", "rulse") == 1
    assert "rules" in capsys.readouterr().err


def test_a_circuit_of_other_sites_is_refused(folder: Path, tmp_path: Path, capsys) -> None:
    site = Site("resid", 1)
    columns = {"site": np.array([0, 0]), "unit": np.array([1, 3]), "score": np.arange(2.0)}
    made = Circuit((site,), {site: 8}, position=np.full(2, -1), patch_mean=np.zeros(2), **columns)
    path = made.save(tmp_path / "c.json")
    assert typed("explain", folder, path) == 1
    said = "no unit of the circuit is at a site of the index: it is of resid.1, the index of embed"
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


def test_all_units_of_which_nothing_is_found_are_counted(folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(clew, "explain", lambda firings, units, **_: Labels({}))
    units = [f"embed/{unit}" for unit in range(12)]
    assert typed("explain", folder, "--units", *units) == 0
    assert f"for 12 of 12 units: {', '.join(units[:8])} and 4 more" in capsys.readouterr().out


def test_a_floor_that_could_not_be_drawn_is_said(folder: Path, capsys) -> None:
    assert typed("explain", folder, "--units", f"embed/{KING}", "--scorers", "detection") == 0
    said = capsys.readouterr().err
    assert f"no floor shuffled for embed/{KING}: there is no other explanation to exchange; explain more" in said
    assert typed("explain", folder, "--units", f"embed/{KING}", f"embed/{VERY}", "--scorers", "detection") == 0
    assert "no floor shuffled" not in capsys.readouterr().err
    assert typed("explain", folder, "--units", f"embed/{KING}", "--floors", "permuted") == 0
    assert "no floor" not in capsys.readouterr().err


def test_an_index_of_little_text_says_so(folder: Path, capsys) -> None:
    assert typed("explain", folder, "--units", f"embed/{KING}") == 0
    assert "names from so few are guesses; 100,000 or more are usual" in capsys.readouterr().err


def answering(body):
    """Names whatever it is shown king, and finds it wherever that word stands."""
    asked = body["messages"][-1]["content"]
    if not asked.startswith("Description: "):
        return chat("1" if "digit" in asked else "DESCRIPTION: king")
    return chat(str([int("king" in line) for line in asked.split("\n") if line.startswith("Text ")]))


def test_a_language_model_explains_and_what_it_costs_is_said_before_and_after(
    folder: Path, capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MINE", "sk-secret")
    by = ("--by", "sentences", "--scorers", "detection", "--windows", 20)
    with serving(answering) as server:
        who = ("--asks", server.url, "--asks-model", "small", "--asks-key-from", "MINE", "--asks-at-once", 2)
        assert typed("explain", folder, "--units", f"embed/{KING}", *by, *who) == 0
        said = capsys.readouterr()
        n = len(server.asked)
        assert typed("explain", folder, "--units", f"embed/{KING}", *by, *who) == 0 and len(server.asked) == n
    assert said.out.startswith(f"embed/{KING}  king") and "detection AUROC 1.00" in said.out
    assert f"small at {server.url} will be asked, at most about: {n} requests, 0 answers from the cache" in said.err
    assert f"small at {server.url} was asked: {n} requests, 0 answers from the cache" in said.err
    again = capsys.readouterr().err
    assert f"at most about: 0 requests, {n} answers from the cache" in again and "was asked: 0 requests, " in again
    label = next(label for _, label in clew.Index.load(folder).search("king") if label.kind == "prose")
    kept = "".join(path.read_text() for path in (tmp_path / "cache").rglob("*.json")) + str(label.to_json()) + str(said)
    assert "yes or no alone" in label.origin and "sk-secret" not in kept
    assert {held["authorization"] for held in server.headers} == {"Bearer sk-secret"}


def test_who_is_asked_is_said_whole(folder: Path, capsys) -> None:
    unit = ("explain", folder, "--units", f"embed/{KING}", "--by", "sentences")
    for words, message in (
        ((), "sentences asks a language model; add --asks ADDRESS"),
        (("--asks", "http://localhost:1/v1"), "say which of the models"),
        (("--asks-model", "m"), "add --asks ADDRESS"),
    ):
        assert typed(*unit, *words) == 1
        assert message in capsys.readouterr().err
    assert typed("explain", folder, "--units", f"embed/{KING}", "--asks", "smollm2-135m") == 1
    assert "--by rules and its scorers ask nobody" in capsys.readouterr().err


def test_what_units_do_is_explained_by_the_model_seen_through_its_dictionaries(
    folder: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clew, "open", lambda name, **_: model())
    path = words_dictionary().save(tmp_path / "words.safetensors")
    by = ("--by", "effects", "--model", "tiny", "--floors", "random_unit", "--json")
    assert typed("explain", folder, "--units", f"embed/{DOES}", *by, "--through", path) == 0
    said = json.loads(capsys.readouterr().out)
    labels = said["labels"]["units"][f"embed/{DOES}"]
    assert labels
    for label in labels:
        assert label["kind"] == "effects" and label["origin"].startswith("effects")
        assert {row["measure"] for row in label["scores"]} == {"intervention AUROC", "intervention rise"}
        assert {row["of"] for row in label["scores"]} >= {"random_unit", "above random_unit"}
    assert typed("explain", folder, "--units", "embed/999", *by, "--through", path) == 1


def test_to_say_what_units_do_the_model_is_needed(folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(clew, "open", lambda name, **_: model())
    path = words_dictionary(lambda unit: 2.0).save(tmp_path / "other.safetensors")
    unit = ("explain", folder, "--units", f"embed/{KING}", "--by", "effects")
    for words, message in (
        ((), "effects runs the model whose units these are; add --model MODEL"),
        (("--through", path), "add --model MODEL"),
        (("--model", "tiny", "--through", path), "see it through the one that was indexed"),
        (("--model", "tiny"), f"no unit embed/{KING}; it is seen in neuron.0"),
    ):
        assert typed(*unit, *words) == 1
        assert message in capsys.readouterr().err


def test_a_circuit_of_another_dictionary_is_refused(folder: Path, tmp_path: Path, capsys) -> None:
    path, mine = circuit(tmp_path / "c.json"), clew.Index.load(folder).fingerprints["embed"]
    for made, code in (("another", 1), (mine, 0)):
        replace(Circuit.load(path), provenance={"dictionaries": {"embed": made}}).save(path)
        assert typed("explain", folder, path, "--to", tmp_path / "named.json") == code
        assert (tmp_path / "named.json").exists() == (code == 0)
        assert ("and the circuit was found in another" in capsys.readouterr().err) == (code == 1)
    assert Circuit.load(tmp_path / "named.json").labels[f"embed/{KING}"]
