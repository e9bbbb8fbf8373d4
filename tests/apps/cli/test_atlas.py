"""clew atlas on the model that knows eight capitals."""

import json
from pathlib import Path

import pytest

import clew
from clew.apps.cli import run
from clew.studies.atlas.atlas import Atlas
from tests.studies.atlas.toys import small, texts, view

PLACES = "--loss 2 --each window --length 8 --window 12"
COMMAND = (
    f"atlas toy ours.jsonl others.jsonl --to made {PLACES} --vectors features --k 8 --dims 64 --nodes 5 --through sae"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen = view()
    monkeypatch.setattr(clew, "open", lambda name, **options: seen)
    monkeypatch.setattr(clew.Dictionary, "load", lambda path: list(seen.dictionaries.values()))
    for name, some in (("ours", texts()[:12]), ("others", texts()[12:])):
        Path(f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in some))


def test_one_command_makes_an_atlas_and_resume_goes_on_with_it_as_it_was_asked_for(capsys) -> None:
    assert run([*COMMAND.split(), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["behaviours"] == told["circuits"] == 8
    made = Atlas.load("made")
    assert [one.to_json() for one in made] == [one.to_json() for one in small()] and made.sources == (
        "ours.jsonl",
        "others.jsonl",
    )
    Path("made/atlas.json").unlink()
    assert run("atlas --resume --to made --threads 1".split()) == 0
    said = capsys.readouterr().out
    assert Atlas.load("made").to_json() == made.to_json()
    assert "8 behaviours, 8 of them with a circuit, saved in made" in said and "faithfulness random, mean" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("atlas --to made", "name a model and some text, or an atlas to go on with"),
        ("atlas toy --to made", "name a model and some text"),
        ("atlas --resume --to made", "made holds no atlas that was begun by clew atlas"),
        ("atlas toy --resume --to made", "leave the model and the text out"),
        ("atlas --resume --to made --k 5 --vectors features", "leave out --vectors features --k 5"),
        ("atlas toy ours.jsonl --to made --length 99", "length=99, window=48"),
        ("atlas toy ours.jsonl --to made --k 1 --length 4 --window 12 --loss 2", "contexts can be put into"),
    ],
)
def test_what_cannot_be_is_said(words: str, said: str, capsys) -> None:
    assert run(words.split()) != 0
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_other_options_in_one_folder_are_refused_and_words_that_are_none_are_named(capsys) -> None:
    assert run(COMMAND.split()) == 0
    assert run(COMMAND.replace("--length 8", "--length 7").split()) == 1
    assert "was made with length 8 (here 7)" in capsys.readouterr().err.replace("\n", " ")
    Path("made/asked.json").write_text(json.dumps({"format": "clew atlas words", "words": ["toy", "--no-such", "1"]}))
    assert run("atlas --resume --to made".split()) == 1
    assert "asked.json holds words that clew atlas does not take" in capsys.readouterr().err.replace("\n", " ")
