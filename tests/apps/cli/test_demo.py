"""clew demo: the whole thread, on a model made by hand that knows the number of a subject."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import clew
from clew.apps.cli import demo, run
from clew.apps.cli.demo import SIZES, Steps, dictionaries_for, sites_for, told
from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Pair
from clew.dictionaries import packs
from clew.report import Report
from tests import stage
from tests.models.tiny import model_of, relu_dictionary


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with pairs and a text in the words of the model, and no pack."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packs, "packs", dict)
    words = "the old girl boat pack roses blue sea all day Write to".split()
    one, many = ("{} key to the cabinet", "is"), ("{} keys to the cabinet", "are")
    rows = [
        {
            "clean_prefix": a.format(word),
            "patch_prefix": b.format(word),
            "clean_answer": f" {x}",
            "patch_answer": f" {y}",
        }
        for word in words
        for (a, x), (b, y) in ((one, many), (many, one))
    ]
    Path("number.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("text.txt").write_text("\n\n".join(stage.ORDINARY))


def test_the_whole_thread_ends_in_a_page_a_circuit_and_a_report(monkeypatch, capsys):
    model = stage.names()["model"]
    width = model.body.widths[model.body.site("resid.0")]
    monkeypatch.setattr(clew, "open", lambda name: model, raising=False)
    monkeypatch.setattr(
        demo, "dictionaries_for", lambda model, sites, *given: [stage.dictionary(site, width) for site in sites]
    )
    Path("number.jsonl").rename("the_number.jsonl")
    words = "demo --behaviour the_number.jsonl --model toy --text text.txt --examples 12 --out made --json"
    assert run(words.split()) == 0
    heard = capsys.readouterr()
    said = json.loads(heard.out)
    circuit, report = Circuit.load("made/circuit.json"), Report.load("made/report.json")
    assert said["page"] == "made/circuit.html" and "the_number.jsonl in toy" in Path(said["page"]).read_text()
    assert 0 < len(circuit) <= 60 and len(circuit.weight) and circuit.details["title"] == "the_number.jsonl in toy"
    assert re.search(
        '"name": "clean", "text": "[a-z]+ keys? to the cabinet"', Path(said["page"]).read_text(), re.IGNORECASE
    )
    assert circuit.details["top_tokens"] and circuit.details["predicted_effects"]
    assert json.loads(json.dumps(report.to_json())) == said["report"]
    found = {(row.of, row.nodes): row.value for row in report.rows if row.measure == "faithfulness"}
    assert found["features", SIZES[0]] == pytest.approx(1, abs=0.05)  # the model says it by two units
    assert {of.split(",")[0] for of, _ in found} >= {"features", "neurons"}
    assert said["note"].startswith(
        "Prompt pairs: 6 to find circuits on, 6 others to verify them on, the first 12 of 24."
    )
    assert "opening toy" in said["seconds"]
    steps = [line.split(" s  ", 1)[1] for line in heard.err.splitlines() if " s  " in line]
    assert steps == list(said["seconds"]) and "page" in steps


def test_how_many_pairs_there_are_for_what_is_said_in_words():
    pairs = [Pair(f"a{i}", f"c{i}", " b", " d") for i in range(24)]
    some = Behaviour("toy", tuple(pairs), dropped=3, note="3 of 27 pairs fell out: they are wrong.")
    halves = "Prompt pairs: {0} to find circuits on, {0} others to verify them on"
    fell = " Before that: 3 of 27 pairs fell out: they are wrong."
    assert told(some.first(8), some) == f"{halves.format(4)}, the first 8 of 24.{fell}"
    assert told(some, some) == f"{halves.format(12)}.{fell}"
    assert told(replace(some, note=""), some) == f"{halves.format(12)}."


def test_what_goes_wrong_is_one_sentence_and_leaves_no_page(monkeypatch, capsys):
    monkeypatch.setattr(clew, "open", lambda name: model_of("llama"), raising=False)
    assert run("demo --behaviour number.jsonl --model toy --text nowhere.txt --out made".split()) == 1
    assert "nowhere.txt" in capsys.readouterr().err and not Path("made").exists()


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [(30, [3, 7, 11, 15, 19, 23]), (18, [1, 4, 6, 9, 11, 13]), (6, [0, 1, 2, 3, 4]), (4, [0, 1, 2]), (1, [0])],
)
def test_sites_are_spread_over_the_lower_four_fifths_and_stand_once(layers, wanted):
    assert sites_for(SimpleNamespace(n_layers=layers)) == [f"resid.{layer}" for layer in wanted]


def test_a_pack_of_the_models_name_is_opened_and_only_the_sites_asked_for(monkeypatch):
    model = model_of("llama")
    pack = [relu_dictionary(model, site) for site in ("resid.0", "resid.1", "resid.2")]
    monkeypatch.setattr(packs, "packs", lambda: {model.name: []})
    asked = list[str]()
    monkeypatch.setattr(
        clew, "Dictionary", SimpleNamespace(load=lambda name: asked.append(name) or pack), raising=False
    )
    assert dictionaries_for(model, ["resid.2", "resid.0"], None, 100, print) == [pack[0], pack[2]]
    assert asked == [model.name]


def test_with_a_text_dictionaries_are_fitted_on_it_and_kept_by_model_and_text(monkeypatch):
    model, kept, said = model_of("llama"), list[dict](), list[tuple]()

    def record(model: object, windows: object, **how: object) -> str:
        how["progress"](1, 2)
        kept.append({"windows": windows, **how})
        return "a store"

    def train(store: object, plans: list, **how: object) -> list:
        how["progress"](3, 4, {"loss": 0.5})
        kept[-1] |= {"store": store, "plans": plans, "folder": how["to"]}
        return ["fitted"]

    monkeypatch.setattr(clew, "record", record, raising=False)
    monkeypatch.setattr(clew, "train", train, raising=False)
    monkeypatch.setattr(packs, "packs", lambda: {model.name: []})  # a text that is given goes before a pack
    Path("text.txt").write_text("the old man said that she was good .\n\nthe king and the queen .")
    Path("other.txt").write_text("the old man said that she was good .\n\nthe king and the doctor .")
    sites, tell = ["resid.0", "resid.1"], lambda *told: said.append(told)
    for text, tokens in (("text.txt", 100), ("text.txt", 100), ("other.txt", 100), ("text.txt", 2)):
        assert dictionaries_for(model, sites, Path(text), tokens, tell) == ["fitted"]
    assert [(plan.by, plan.reads) for plan in kept[0]["plans"]] == [("topk", "resid.0"), ("topk", "resid.1")]
    assert kept[0]["store"] == "a store" and kept[0]["to"] == kept[0]["folder"] / "store"
    folders = [made["folder"] for made in kept]
    assert folders[0] == folders[1] and len(set(folders)) == 3 and model.body.fingerprint in str(folders[0])
    assert said[:2] == [(1, 2), (3, 4, {"loss": 0.5})]


def test_a_step_says_how_long_it_took_on_stderr_and_only_when_it_is_done(capsys):
    steps = Steps()
    with steps.take("thinking") as tell:
        tell(1, 2)
    with pytest.raises(KeyError), steps.take("failing"):
        raise KeyError
    assert list(steps.seconds) == ["thinking"] and 0 <= steps.seconds["thinking"] < 60
    heard = capsys.readouterr()
    assert heard.out == "" and heard.err.count(" s  ") == 1 and "s  thinking" in heard.err
