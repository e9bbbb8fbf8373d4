"""clew verify: of circuits, dictionaries and edits, each by what goes with it, and what cannot be measured in words."""

import json
from pathlib import Path

import pytest

import clew
from clew import finder
from clew.apps.cli.verify import USUAL, claimed
from clew.progress import Stopped
from clew.report import Report, Row
from tests.apps.cli.toys import added, small_circuit, typed, updated
from tests.models.tiny import model_of, relu_dictionary


def test_the_fields_of_an_ablation_are_options_of_verify(toys, monkeypatch):
    from clew.measures.circuits.faithfulness import faithfulness

    monkeypatch.setattr(finder, "load", lambda folder, name: faithfulness)
    small_circuit().save("c.json")
    assert typed("verify tiny agreement c.json --ablation patch --errors keep --start 3") == 0
    assert toys["verify"]["ablation"] == clew.Ablation("patch", "keep", 3)
    assert "errors" not in toys["verify"]


def test_verify_saves_what_show_draws(toys, tmp_path):
    small_circuit().save("c.json")
    assert typed("verify tiny agreement c.json --by curve --out r.json") == 0
    assert toys["verify"] == {"by": "curve", "nodes": 3}
    assert typed("show c.json --report r.json") == 0
    assert "plural" in (tmp_path / "c.html").read_text()


@pytest.mark.parametrize("path", ["add.safetensors", "weights.safetensors"])
def test_undo_shows_that_every_bit_is_as_it_was(place, path, capsys):
    added(), updated()
    assert typed(f"verify llama --edit {path} --json --undo") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(row["value"] == 0 for row in rows if row["of"] != "edited")
    assert any(row["value"] > 0 for row in rows if row["of"] == "edited")


def test_an_edit_is_measured_by_what_goes_with_the_evidence(place, capsys):
    added()
    assert typed("verify llama --edit add.safetensors --text text.txt --controls 1 --json --out r.json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["provenance"]["method"] == "locality" and said == json.loads(Path("r.json").read_text())
    assert {"KL", "loss increase"} <= {row["measure"] for row in said["rows"]}


# Circuits.


def test_a_view_that_is_missing_is_said_before_the_pairs_are_tried(place, monkeypatch, capsys):
    monkeypatch.setattr(clew.Behaviour, "filter", lambda *_: pytest.fail("the pairs were tried first"))
    small_circuit().save("c.json")
    assert typed("verify llama pairs.jsonl c.json") == 1
    assert "open it through the dictionaries in which the circuit was found" in capsys.readouterr().err


def test_verify_says_what_python_measures(place, capsys):
    view = model_of("llama").neurons("resid.1")
    task = clew.Behaviour.load("pairs.jsonl", model=view)
    found = clew.find(view, task, by="attribution_patching").top(4)
    found.save("c.json")
    words = "verify llama pairs.jsonl c.json --neurons resid.1 --all-pairs --ablation patch"
    assert typed(f"{words} --json") == 0
    said = json.loads(capsys.readouterr().out)
    wanted = clew.verify(view, task, found, ablation="patch").to_json()
    assert said["rows"] == json.loads(json.dumps(wanted["rows"])) and said["provenance"]["method"] == "faithfulness"
    assert typed(words) == 0
    assert "faithfulness" in capsys.readouterr().out


def test_another_circuit_to_compare_with_is_read_from_its_file(place, capsys):
    view = model_of("llama").neurons("resid.1")
    task = clew.Behaviour.load("pairs.jsonl", model=view)
    found = clew.find(view, task, by="attribution_patching")
    found.top(4).save("a.json"), found.top(2).save("b.json")
    words = "verify llama pairs.jsonl a.json --neurons resid.1 --all-pairs --by reuse --other b.json --draws 20 --json"
    assert typed(words) == 0
    rows = {row["measure"]: row["value"] for row in json.loads(capsys.readouterr().out)["rows"] if row["of"] == "nodes"}
    assert rows["shared"] == 2


def test_machines_read_one_report(toys, capsys):
    small_circuit().save("c.json")
    assert typed("verify tiny agreement c.json --json") == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["value"] == 0.5


@pytest.mark.parametrize("stopped", [False, True])
def test_an_interrupted_measure_is_shown_as_far_as_it_came(toys, stopped, monkeypatch, capsys):
    def verify(*given, **options):
        raise Stopped("stopped", Report("curve", (Row("faithfulness", 0.5, 0.4, 0.6),), ("stopped after 2 of 9",)))

    small_circuit().save("c.json")
    if stopped:
        monkeypatch.setattr(clew, "verify", verify, raising=False)
    assert typed("verify tiny agreement c.json --by curve --out r.json") == (130 if stopped else 0)
    heard = capsys.readouterr()
    assert ("stopped after 2 of 9" in heard.out) == ("clew: interrupted" in heard.err) == stopped
    assert Report.load("r.json").rows


# Dictionaries.


@pytest.fixture
def coded(place: Path) -> list[str]:
    """Two files of dictionaries; what a report calls them."""
    for site in ("resid.0", "resid.1"):
        relu_dictionary(model_of("llama"), site).save(f"{site}.safetensors")
    return ["resid.0 relu 48", "resid.1 relu 48"]


def test_every_dictionary_has_a_report_by_site_type_and_size(coded, capsys):
    words = "verify llama --dictionary resid.0.safetensors resid.1.safetensors --text text.txt --context 8"
    assert typed(f"{words} --out r.json --html r.html --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == coded and said == json.loads(Path("r.json").read_text())
    assert {r["provenance"]["method"] for r in said.values()} == {"fit"}
    assert {"FVU", "L0"} <= {row["measure"] for row in said[coded[0]]["rows"]}
    page = Path("r.html").read_text()
    assert all(name in page for name in coded)


def test_two_of_one_name_are_told_apart_and_one_is_compared_with_another(coded, capsys):
    words = "verify llama --dictionary resid.0.safetensors resid.0.safetensors --text text.txt --context 8 --json"
    assert typed(words) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == coded[0] and second.startswith(f"{coded[0]} (")
    words = (
        "verify llama --dictionary resid.0.safetensors --other resid.1.safetensors --by overlap --text text.txt --json"
    )
    assert typed(words) == 0
    assert json.loads(capsys.readouterr().out)[coded[0]]["provenance"]["method"] == "overlap"


def test_a_measure_by_task_reads_labelled_texts(coded, capsys):
    Path("tones.jsonl").write_text(
        "\n".join(json.dumps({"text": f"the {who} was {how}", "tone": how})
                  for who in ("nurse", "king", "man", "queen", "doctor") for how in ("good", "old"))
    )  # fmt: skip
    words = "verify llama --dictionary resid.0.safetensors --by probing --text tones.jsonl --k 1 --json"
    assert typed(words) == 0
    said = json.loads(capsys.readouterr().out)[coded[0]]
    assert said["provenance"]["method"] == "probing" and any(row["measure"] == "tone k=1" for row in said["rows"])


# What goes with what, and what does not.


@pytest.mark.parametrize(
    ("words", "room"),
    [
        ("m b c.json", "measures.circuits"),
        ("m b c.json --text t.txt", "measures.circuits"),
        ("m --dictionary d", "measures.dictionaries"),
        ("m --edit=e", "measures.edits"),
        ("m --undo", "measures.edits"),
        ("m --dictionary d --edit e", "measures.edits"),
    ],
)
def test_the_room_of_measures_follows_from_what_is_measured(words, room):
    assert claimed(words.split()) == room


def test_what_is_measured_by_default_are_measures():
    for option, by in USUAL.items():
        assert by in finder.names(claimed([option] if option != "--text" else ["--edit"]))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("llama", "give a behaviour and a circuit, --dictionary and --text, or --edit"),
        ("llama pairs.jsonl", "give a behaviour and a circuit"),
        ("llama pairs.jsonl c.json --html p.html", "--html and --text are about dictionaries and edits"),
        ("llama pairs.jsonl c.json --text text.txt", "--html and --text are about dictionaries and edits"),
        ("llama pairs.jsonl nowhere.json", "nowhere.json"),
        ("llama pairs.jsonl c.json", "open it through the dictionaries in which the circuit was found"),
        ("llama --undo", "--undo takes edits back"),
        ("llama pairs.jsonl c.json --facts 3", "name them by --edit"),
        ("llama --edit add.safetensors", "as in --facts facts.json; given: none of them"),
        ("llama pairs.jsonl --edit add.safetensors --text text.txt", "given: BEHAVIOUR and --text"),
        ("llama pairs.jsonl c.json --edit add.safetensors", "--edit is measured by itself"),
        ("llama --edit add.safetensors --dictionary resid.0.safetensors", "--edit is measured by itself"),
        ("llama --dictionary resid.0.safetensors", "say what to measure the dictionaries on: --text FILE"),
        ("llama pairs.jsonl --dictionary resid.0.safetensors --text text.txt", "leave behaviour, circuit and the view"),
        ("llama --dictionary resid.0.safetensors --heads --text text.txt", "leave behaviour, circuit and the view"),
        ("llama --dictionary resid.0.safetensors --by probing --text tones.jsonl text.txt", "2 were given"),
        (
            "llama --dictionary resid.0.safetensors --by overlap --other two --text text.txt",
            "two holds 2; name one file",
        ),
        ("llama --dictionary nowhere --text text.txt", "nowhere"),
    ],
)
def test_a_users_mistake_is_one_sentence(coded, words, why, capsys):
    added(), small_circuit().save("c.json")
    Path("two").mkdir()
    for name in ("resid.0", "resid.1"):
        Path(f"two/{name}.safetensors").write_bytes(Path(f"{name}.safetensors").read_bytes())
    assert typed(f"verify {words}") == 1
    heard = capsys.readouterr()
    assert why in heard.err and heard.err.count("clew: ") == 1 and not heard.out


def test_what_reads_several_sites_is_left_out_with_a_word(place, capsys, monkeypatch):
    one = relu_dictionary(model_of("llama"), "resid.0")
    monkeypatch.setattr(type(one), "joint", True, raising=False)
    monkeypatch.setattr(clew.Dictionary, "load", lambda path: [one])
    assert typed("verify llama --dictionary d --text text.txt --json") == 0
    heard = capsys.readouterr()
    assert json.loads(heard.out) == {} and "left out: the relu at resid.0 reads several sites" in heard.err
