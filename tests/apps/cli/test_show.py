"""clew show: a circuit as a page beside it, a file of edits in words."""

import json
import webbrowser
from dataclasses import replace
from pathlib import Path

import pytest

from clew.apps.cli import run
from clew.circuits.circuit import Circuit
from clew.report import Report, Row
from tests.apps.atlases import atlas
from tests.apps.cli.toys import added, found, small_circuit, typed
from tests.models.tiny import model_of


def test_show_says_what_is_in_a_file(place, capsys):
    assert typed("edit llama --labelled tones.jsonl --positive kind --sites resid.1") == 0
    capsys.readouterr()
    assert typed("show --edit edit.safetensors") == 0
    out = capsys.readouterr().out
    assert "add at resid.1: vector [32] of norm " in out
    assert f"for: tiny llama ({model_of('llama').body.fingerprint})" in out
    assert "made by: mean_difference (sites=['resid.1']" in out
    assert typed("show --edit edit.safetensors --json") == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["labelled"] == "tones"


def test_a_circuit_becomes_a_page_beside_it_and_of_its_name(place, capsys):
    small_circuit().save("deep/c.json")
    assert typed("show deep/c.json") == 0
    assert capsys.readouterr().out.startswith("saved as deep/c.html\n")
    page = Path("deep/c.html").read_text()
    assert "plural" in page and page.startswith("<!doctype html>")
    assert typed("show deep/c.json --out other.html --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["page"], said["bytes"]) == ("other.html", len(Path("other.html").read_bytes()))
    assert Path("other.html").read_text() == page


def test_the_curve_of_a_report_is_drawn_beside_it(place):
    small_circuit().save("c.json")
    Report("toy", (Row("faithfulness", 0.512345, 0.4, 0.6, "features", 3, 9),)).save("r.json")
    assert typed("show c.json --report r.json --out with.html") == typed("show c.json --out without.html") == 0
    assert "0.512345" in Path("with.html").read_text() and "0.512345" not in Path("without.html").read_text()


def test_the_report_beside_a_circuit_is_drawn_if_it_judges_this_one(folder, capsys):
    """`clew show` of the demo's circuit once replaced its page by one without the chart, and said nothing."""
    circuit = found("--top 8")
    assert run("verify tiny task.jsonl circuit.json --all-pairs --out report.json".split()) == 0
    value = Report.load("report.json")["faithfulness"].value
    assert run("find tiny task.jsonl --all-pairs --circuit circuit.json --by edges --out wired.json".split()) == 0
    capsys.readouterr()
    for name in ("circuit", "wired"):
        assert run(["show", f"{name}.json"]) == 0
        assert str(value) in Path(f"{name}.html").read_text() and "without a chart" not in capsys.readouterr().err
    replace(circuit, provenance={**circuit.provenance, "seconds": 1e6}).save("circuit.json")
    assert run("show circuit.json".split()) == 0
    assert str(value) not in Path("circuit.html").read_text()
    assert "circuit.html is replaced by a page without a chart" in capsys.readouterr().err


def test_it_is_opened_in_the_browser_only_when_asked_to(place, monkeypatch):
    opened = list[str]()
    monkeypatch.setattr(webbrowser, "open", opened.append)
    small_circuit().save("c.json")
    assert typed("show c.json") == 0 and opened == []
    assert typed("show c.json --open") == 0 and opened == [Path("c.html").resolve().as_uri()]


def test_a_file_of_edits_is_told_in_words(place, capsys):
    added()
    assert typed("show --edit add.safetensors") == 0
    assert "add at resid.1: vector [32] of norm " in capsys.readouterr().out
    assert typed("show --edit add.safetensors --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["name"], len(said["edits"]), said["about"]) == ("a shift", 1, {"norm": "natural"})


def test_an_atlas_is_a_page_in_its_folder_and_shows_the_contexts_that_it_may(place, capsys):
    atlas(6).save("found")
    assert typed("show found --json") == 0
    said = json.loads(capsys.readouterr().out)
    page = Path("found/atlas.html").read_text()
    assert said == {"page": "found/atlas.html", "bytes": len(page.encode()), "behaviours": 6, "circuits": 5}
    assert " 0 the " in page and " 1 the " in page
    assert typed("show found/atlas.json --contexts harbour --out some.html") == 0
    assert "6 behaviours found in garden and harbour" in capsys.readouterr().out
    assert " 0 the " not in Path("some.html").read_text() and " 1 the " in Path("some.html").read_text()
    assert typed("show found --no-contexts --out none.html") == 0
    assert " 1 the " not in Path("none.html").read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("found --contexts field", "there is no source 'field'; there are garden, harbour"),
        ("found --text a.txt", "found is an atlas; --report, --model, --text and a view are for a circuit"),
        ("c.json --contexts garden", "--contexts is for an atlas, and c.json is a circuit"),
        ("", "give a circuit, or a file of edits as --edit FILE; one of the two"),
        ("c.json --edit add.safetensors", "one of the two"),
        ("nowhere.json", "there is no file or folder 'nowhere.json'"),
        ("text.txt", "text.txt is not"),
        (".", "'.' is a folder, and a file is wanted"),
        ("c.json --report text.txt", "text.txt is not"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_no_page(place, words, why, capsys):
    added(), small_circuit().save("c.json"), atlas(6).save("found")
    assert typed(f"show {words}") == 1
    assert why in capsys.readouterr().err and not list(Path().rglob("*.html"))


# What its units fire on.


@pytest.fixture
def bare(folder) -> Path:
    """A circuit that says nothing of what its units fire on."""
    circuit = found("--through d.safetensors --top 8")
    kept = {name: value for name, value in circuit.details.items() if name == "tokens"}
    path = Path("bare.json")
    path.write_text(json.dumps(circuit.to_json() | {"details": kept}))
    return path


def test_the_strongest_nodes_are_told_with_their_tokens(folder, capsys) -> None:
    found("--through d.safetensors --top 8")
    capsys.readouterr()
    assert run(["show", "circuit.json"]) == 0
    heard = capsys.readouterr()
    assert "fires on" in heard.out and "promotes" in heard.out and "--model" not in heard.err
    assert Path("circuit.html").stat().st_size > 20_000


def test_what_is_not_known_can_be_looked_up(folder, bare, capsys) -> None:
    capsys.readouterr()
    assert run(["show", str(bare)]) == 0
    heard = capsys.readouterr()
    assert "fires on" not in heard.out and "--model NAME" in heard.err
    assert run(["show", str(bare), "--model", "tiny", "--through", "d.safetensors"]) == 0
    assert "fires on" in capsys.readouterr().out
    assert "top_tokens" not in Circuit.load(bare).details


def test_prompts_that_are_gone_leave_the_text(folder, bare, capsys) -> None:
    Path("task.jsonl").unlink()
    words = ["show", str(bare), "--model", "tiny", "--through", "d.safetensors"]
    assert run(words) == 1
    assert "cannot be read again" in capsys.readouterr().err
    Path("text.txt").write_text("a doctor was very good .")
    assert run([*words, "--text", "text.txt", "--json", "--quiet"]) == 0
    tokens = {token for card in json.loads(capsys.readouterr().out)["strongest"] for token in card["fires_on"] or ()}
    assert tokens and tokens <= set("a doctor was very good .".split())


def test_a_text_without_a_model_is_a_mistake(folder, bare, capsys) -> None:
    assert run(["show", str(bare), "--text", "x.txt"]) == 1
    assert "name it by --model" in capsys.readouterr().err
