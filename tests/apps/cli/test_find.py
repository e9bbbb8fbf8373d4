"""clew find: its options are the method's, what it saves is what Python finds, and what it says is the strongest of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clew
from clew import finder
from clew import progress as progress_of
from clew.apps.cli import run
from clew.circuits.circuit import Circuit
from clew.data.planted import induction
from clew.labels import Labels
from clew.progress import Stopped
from tests.apps.cli.toys import found, small_circuit, typed
from tests.models.tiny import model_of


def test_options_come_from_the_methods_signature(toys, tmp_path):
    words = "find tiny agreement --steps 3 --mode slow --sizes 4 5 6 --exact --examples 7 --top 2 --out c.json"
    assert typed(words) == 0
    given = {"steps": 3, "mode": "slow", "sizes": [4, 5, 6], "exact": True, "held_out": True}
    assert toys["find"] == {"view": "model tiny", "by": "integrated_gradients", "nodes": None, **given}
    assert toys["behaviour"] == ("agreement", {"model": "model tiny", "n": 7})
    assert len(Circuit.load(tmp_path / "c.json")) == 2


def test_a_selection_is_written_as_for_the_bench(toys, tmp_path, capsys):
    assert typed("find tiny agreement --select ratio:rho=1 --top 2 --out c.json") == 0
    assert sorted(Circuit.load(tmp_path / "c.json").score) == [0.1, 0.3]
    for top in (2, 0):
        assert typed(f"find tiny agreement --select bootstrap --top {top}") == 1
        assert "have no standard error" in capsys.readouterr().err


def test_only_options_that_were_given_reach_the_method(toys):
    assert typed("find tiny agreement") == 0
    assert set(toys["find"]) == {"view", "by", "nodes", "held_out"}


def test_predictions_of_a_graph_are_tried_on_the_half_it_was_found_on(toys, monkeypatch):
    assert typed("find tiny agreement --tried 7") == 0 and "tried" not in toys
    edge = {"source": np.array([0]), "target": np.array([1]), "weight": np.ones(1), "weight_error": np.zeros(1)}
    monkeypatch.setattr(clew, "find", lambda *given, **options: replace(small_circuit(), **edge), raising=False)
    assert typed("find tiny agreement --tried 7") == 0
    assert toys["tried"] == ("the training half", 7)


@pytest.mark.parametrize("words", ["--mode loud", "--steps many", "--rule x", "--stepz 3"])
def test_an_option_that_does_not_fit_is_a_usage_error(toys, words, capsys):
    assert run(["find", "tiny", "agreement", *words.split()]) == 2
    assert "find" not in toys
    assert capsys.readouterr().out == ""


def test_json_is_all_that_stdout_gets(toys, capsys):
    assert typed("find tiny agreement --json --out c.json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["nodes"], said["circuit"]) == (3, "c.json")
    known = {"address": "resid.0/1", "score": -0.5, "label": "plural"}
    assert said["strongest"][0].items() >= known.items()


def test_names_that_come_from_nowhere_are_refused_before_the_search(toys, capsys):
    assert typed("find tiny agreement --explain nowhere --out c.json") == 1
    assert "nowhere is no index, no file of labels and no pack" in capsys.readouterr().err
    assert not Path("c.json").exists()


def test_what_cannot_be_named_is_saved_all_the_same(toys, capsys, monkeypatch):
    made = Labels(Labels.of({"resid.0/1": "a word"}).units, {"resid.0": "of another"})
    monkeypatch.setattr("clew.apps.cli._names.names_of", lambda source: lambda circuit: made)
    found = replace(small_circuit(), provenance={"dictionaries": {"resid.0": "of this"}})
    monkeypatch.setattr("clew.find", lambda *given, **more: found)
    assert typed("find tiny agreement --explain names.json --out c.json") == 1
    assert "was found in of this" in capsys.readouterr().err and len(Circuit.load("c.json")) == 3


def test_an_unknown_method_names_the_near_ones(capsys):
    assert typed("find tiny agreement --by integrated_gradient") == 1
    assert "did you mean 'integrated_gradients'" in capsys.readouterr().err


def test_a_method_that_wires_a_circuit_asks_for_one(capsys):
    assert typed("find tiny agreement --by edges") == 1
    assert "give its path as --circuit" in capsys.readouterr().err
    assert typed("find tiny agreement --by attribution_patching --circuit c.json") == 1
    assert "leave --circuit c.json out" in capsys.readouterr().err


def test_the_next_line_is_as_this_one_was_typed(toys, monkeypatch, capsys):
    class View(str):
        def neurons(self, *sites: str) -> str:
            return f"{self} at {' '.join(sites)}"

    monkeypatch.setattr(clew, "open", lambda name, **options: View(name), raising=False)
    assert typed("find tiny agreement --neurons resid.0 resid.1 --examples 8 --all-pairs --out c.json") == 0
    assert toys["find"]["view"] == "tiny at resid.0 resid.1"
    wanted = "clew verify tiny agreement c.json --neurons resid.0 resid.1 --examples 8 --all-pairs, or clew show c.json"
    assert wanted in capsys.readouterr().err


def test_find_saves_what_python_finds(place, capsys):
    words = "find llama pairs.jsonl --by attribution_patching --neurons resid.1 mlp.2 --all-pairs --top 5 --out c.json"
    assert typed(f"{words} --json") == 0
    view = model_of("llama").neurons("resid.1", "mlp.2")
    task = clew.Behaviour.load("pairs.jsonl", model=view)
    again = clew.find(view, task, by="attribution_patching").top(5)
    saved, said = Circuit.load("c.json"), json.loads(capsys.readouterr().out)
    assert saved.keys() == again.keys() and np.array_equal(saved.score, again.score) and len(saved) == 5
    assert saved.provenance["method"] == "attribution_patching" and saved.provenance["prompts"]["pairs"] == len(
        task.train
    )
    assert [n["address"] for n in said["strongest"]] == [n.address for n in again]
    assert said["predicted_effects"] is None and (said["nodes"], said["edges"]) == (5, 0)


@pytest.fixture
def planted(place, monkeypatch):
    """Every model is the planted induction circuit, and every behaviour its own."""
    known = induction(n=8)
    monkeypatch.setattr(clew, "open", lambda name, **_: known.model, raising=False)
    monkeypatch.setattr(clew.Behaviour, "load", lambda name, **_: known.behaviour)


def test_edges_of_components_are_kept_and_shown_as_edges_and_what_they_predict_is_tried(planted, capsys):
    assert typed("find planted induction --by eap --all-pairs --top 3 --tried 20") == 0
    saved, said = Circuit.load("circuit.json"), capsys.readouterr().out.splitlines()
    assert (
        said[0].endswith("nodes and 3 edges, saved as circuit.json")
        and "head 1 of layer 1 -> logits" in said[1] + said[2]
    )
    assert len(saved.weight) == 3 and sum(" -> " in line for line in said) == 3
    r, slope = (f"{name} {saved.details['predicted_effects'][name]:.2f}" for name in ("r", "slope"))
    assert said[-1] == f"  predicted against intervened effects of the strongest: {r}, {slope}"


def test_what_cannot_be_told_of_the_tried_is_unknown_and_no_number(planted, capsys):
    """The two strongest edges do the same, so there is no correlation."""
    assert typed("find planted induction --by eap --all-pairs --top 3 --tried 2") == 0
    assert "strongest: r unknown, slope " in capsys.readouterr().out
    assert typed("find planted induction --by eap --all-pairs --top 3 --tried 2 --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["predicted_effects"]["r"] is None
    assert Circuit.load("circuit.json").details["predicted_effects"] == said["predicted_effects"]


def test_a_hundred_are_kept_unless_said_and_nothing_is_all(toys, monkeypatch):
    many = np.arange(120)
    columns = {"site": many * 0, "unit": many, "position": many * 0 - 1, "score": 1.0 + many, "patch_mean": 0.0 * many}
    site = small_circuit().sites[0]
    wide = Circuit((site,), {site: 200}, **columns)
    monkeypatch.setattr(clew, "find", lambda *given, **options: wide, raising=False)
    for words, kept in (("", 100), ("--top 0", 120), ("--top 7", 7), ("--top 500", 120)):
        assert typed(f"find tiny agreement {words}") == 0 and len(Circuit.load("circuit.json")) == kept


def test_what_cannot_be_chosen_by_is_said_before_anything_is_run(toys, capsys):
    for words, why in (("--top -1", "--top is -1; give the number"), ("--select best", "best")):
        assert typed(f"find tiny agreement {words}") == 1
        assert why in capsys.readouterr().err and toys == {}


def test_what_is_asked_goes_to_the_behaviour(toys):
    assert typed("find tiny agreement --metric log_probability --all-pairs --all-examples") == 0
    assert toys["metric"] == "log_probability" and "filtered" not in toys and toys["find"]["held_out"] is False
    assert typed("find tiny agreement") == 0 and toys["filtered"] == "model tiny" and toys["find"]["held_out"] is True


def test_people_read_the_strongest_and_what_comes_next(toys, capsys):
    assert typed("find tiny agreement --top 2") == 0
    heard = capsys.readouterr()
    first, strongest, second = heard.out.splitlines()
    assert first == "2 nodes and 0 edges, saved as circuit.json"
    assert strongest.split() == ["-0.5000", "resid.0/1", "plural"] and second.split() == ["+0.3000", "resid.0/2"]
    assert "next: clew verify tiny agreement circuit.json" in heard.err


def test_a_pipe_hears_how_far_it_is_and_a_quiet_one_nothing(toys, monkeypatch, capsys):
    def slow(view, task, nodes=None, *, progress, **options):
        progress(1, 2)
        monkeypatch.setattr(progress_of.time, "monotonic", lambda: now + 30)
        progress(3, 4)
        monkeypatch.setattr(progress_of.time, "monotonic", lambda: now)
        return small_circuit()

    now = progress_of.time.monotonic()
    monkeypatch.setattr(finder, "load", lambda folder, name: slow)
    monkeypatch.setattr(clew, "find", slow, raising=False)
    assert typed("find tiny agreement") == 0
    assert "integrated gradients on agreement: 75%, 30 s so far, about 10 s left" in capsys.readouterr().err
    assert typed("find tiny agreement --quiet") == 0
    heard = capsys.readouterr()
    assert heard.err == "" and "3 nodes" in heard.out
    assert typed("find tiny agreement --quiet --top -1") == 1 and "clew: --top is -1" in capsys.readouterr().err


def test_an_interrupted_search_is_saved_as_far_as_it_came(toys, monkeypatch, capsys):
    def find(*given, **options):
        raise Stopped("stopped", small_circuit())

    monkeypatch.setattr(clew, "find", find, raising=False)
    assert typed("find tiny agreement --top 2 --out c.json") == 130
    heard = capsys.readouterr()
    assert "2 nodes and 0 edges, saved as c.json" in heard.out and "clew: interrupted" in heard.err
    assert len(Circuit.load("c.json")) == 2


# What units fire on, and what is kept.


def test_every_unit_says_what_it_fires_on_and_promotes(folder, capsys) -> None:
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


def test_a_text_is_read_beside_the_prompts(folder) -> None:
    Path("text.txt").write_text("a doctor was very good .")
    told = found("--neurons resid.1 --top 16 --text text.txt").details["top_tokens"]
    assert {"doctor", "very"} & set().union(*told.values())


def test_a_search_over_components_names_them(folder, capsys) -> None:
    circuit = found("--top 30").details
    assert circuit["top_tokens"]
    assert run("find tiny task.jsonl --all-pairs --by eap --top 30".split()) == 0
    out = capsys.readouterr().out
    assert "of layer" in out and "->" in out and "promotes" in out


def test_the_strongest_of_json_say_it_too(folder, capsys) -> None:
    found("--through d.safetensors --json --quiet")
    card = json.loads(capsys.readouterr().out)["strongest"][0]
    assert set(card) == {"address", "score", "label", "kind", "tested", "group", "words", "fires_on", "promotes"}


def test_fewer_than_asked_are_explained(folder, capsys) -> None:
    found("--neurons resid.1 --top 5000 --positions")
    assert "scored" in capsys.readouterr().err.partition("kept")[2]
    found("--neurons resid.1 --top 20 --significant .999")
    heard = capsys.readouterr().err
    assert "keep their sign with a confidence of 0.999" in heard
    assert run("find tiny task.jsonl --all-pairs --by eap --top 30 --select top+connected".split()) == 0
    assert "top+connected leaves out what lies on no path to the metric" in capsys.readouterr().err
    found("--neurons resid.1 --top 3")
    assert "kept" not in capsys.readouterr().err


def test_an_empty_circuit_is_saved_only_if_asked(folder, capsys, monkeypatch) -> None:
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


def test_a_planted_model_is_opened_by_name_wherever_a_model_is_and_so_is_its_behaviour(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    named = "planted/induction planted/induction --examples 8"
    assert typed(f"find {named} --by attribution_patching --heads --out c.json") == 0
    capsys.readouterr()
    assert typed(f"verify {named} c.json --heads --json") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[0]["value"] == pytest.approx(1.0)
    assert typed("find planted/induktion planted/induction") == 1
    assert "did you mean 'induction'" in capsys.readouterr().err
    assert typed("find planted/ioi planted/ioi --dtype float32") == 1
    assert "is in float64 on the CPU; leave --dtype, --device and the like out" in capsys.readouterr().err
