"""clew edit on a tiny model of a few words: what is typed is what Python computes."""

import importlib
import json

import pytest
import torch

import clew
from clew.apps.cli import run
from clew.apps.cli._evidence import labelled_texts
from clew.changes import Scale
from clew.sites import Site
from clew.stack import Stack
from tests.apps.cli.toys import added, typed
from tests.models.tiny import model_of

pytestmark = pytest.mark.usefixtures("place")


def test_an_edit_from_labelled_texts_is_what_python_computes(capsys):
    words = "edit llama --labelled tones.jsonl --positive kind --sites resid.0 resid.1 --scale 2 --where response"
    assert typed(f"{words} --out e.safetensors") == 0
    texts = clew.data.labels.labelled.Labelled.load("tones.jsonl", labels=["tone"])
    again = clew.edit(model_of("llama"), texts, by="mean_difference", positive="kind", sites=["resid.0", "resid.1"])
    saved = Stack.load("e.safetensors")
    assert [(str(e.at), e.scale, e.where.kind) for e in saved] == [
        ("resid.0", 2, "response"),
        ("resid.1", 2, "response"),
    ]
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(saved, again, strict=True))
    assert saved.provenance["method"] == "mean_difference"
    heard = capsys.readouterr()
    assert str(saved) in heard.out and "next: clew verify llama" in heard.err


def test_defaults_that_are_no_words_are_let_be_where_pydantic_is_loaded():
    assert importlib.import_module("pydantic")
    assert typed("edit llama --by scale_head --layer 1 --head 2 --factor 30") == 0


def test_texts_before_and_after_come_with_receipts(capsys):
    assert (
        typed("edit llama --by scale_head --layer 1 --head 2 --factor 0 --json --max-new-tokens 3 --try the --try") == 2
    )
    assert run([*"edit llama --by scale_head --layer 1 --head 2 --factor 30 --json --try".split(), "the nurse"]) == 0
    tried = json.loads(capsys.readouterr().out)["tries"][0]
    assert tried["before"] == model_of("llama").generate("the nurse", max_new_tokens=20).texts[0]
    assert tried["after"] != tried["before"] and "scale at head.1" in tried["receipts"][0]


def test_an_edit_is_made_upon_those_in_force_and_saved_without_them(capsys):
    added()
    assert typed("edit llama --labelled tones.jsonl --positive kind --on add.safetensors") == 0
    edit = Stack.load("edit.safetensors")
    texts = clew.data.labels.labelled.Labelled.load("tones.jsonl", labels=["tone"])
    below = model_of("llama").edited(Stack.load("add.safetensors"))
    again = clew.edit(below, texts, by="mean_difference", positive="kind")
    assert len(edit) == 1 and torch.equal(edit[0].vector, again[0].vector)
    assert edit.provenance["edits"] == [str(Stack.load("add.safetensors")[0])]
    assert "made upon the edits of add.safetensors" in capsys.readouterr().err


def test_a_budget_makes_the_edit_weaker_and_says_so(capsys):
    words = "edit llama --labelled tones.jsonl --positive kind --scale 50 --text text.txt --json"
    assert typed(words) == 0
    free = json.loads(capsys.readouterr().out)
    assert typed(f"{words} --budget 0.001") == 0
    held = json.loads(capsys.readouterr().out)
    assert "budget" not in free["about"] and held["about"]["budget"]["reached"] <= 0.001


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("edit llama tense --labelled tones.jsonl", "given: BEHAVIOUR and --labelled"),
        ("edit llama --subject France", "not given: --prompt and --target"),
        ("edit llama --labelled tones.jsonl --positive kind --budget 0.01", "a budget is held on a text"),
        ("edit llama --labelled tones.jsonl --positive kind --where nowhere", "'nowhere' names no positions"),
        ("edit llama --by romme", "'romme' is not one of clew's edits"),
        ("edit llama --labelled nowhere.jsonl", "there is no file nowhere.jsonl"),
        ("edit llama --labelled tones.jsonl --on nowhere.gguf", "there is no file nowhere.gguf of edits"),
    ],
)
def test_a_users_mistake_is_one_sentence(words, why, capsys):
    added()
    assert typed(words) == 1
    assert why in capsys.readouterr().err


def test_a_silent_edit_would_be_said_where_it_is_tried(capsys):
    never = Scale(Site("resid", 1), factor=2.0, where=clew.Where("token", (9999,)))
    Stack((never,)).save("never.safetensors")
    assert (
        run([*"edit llama --by scale_head --layer 1 --head 2 --on never.safetensors --json --try".split(), "the"]) == 0
    )
    assert "never fired" in json.loads(capsys.readouterr().out)["tries"][0]["after"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('["text", "tone"]', r"tones\.jsonl, line 1 is \['text', 'tone'\]; an object is due there"),
        ('{"words": "a"}', "no column 'text'; known: words; a line looks like"),
        ("a line of text", "line 1 is not JSON"),
        ("[" * 99_999, "line 1 is not JSON that can be read .*nested too deep"),
        ("", "no column 'text'; it has no lines; a line looks like"),
    ],
)
def test_a_file_that_holds_no_labelled_texts_is_named(tmp_path, line, said):
    (tmp_path / "tones.jsonl").write_text(line)
    with pytest.raises(ValueError, match=said) as caught:
        labelled_texts(str(tmp_path / "tones.jsonl"), None)
    assert "tones.jsonl" in str(caught.value)
