"""clew export: what is written loads without clew, or goes to another tool and comes back."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from clew.models.export import save_pretrained
from clew.stack import Stack
from tests.apps.cli.toys import added, typed, updated
from tests.models.tiny import model_of, prompts

pytestmark = pytest.mark.usefixtures("place")


def test_export_writes_a_folder_that_loads_without_clew(capsys):
    updated()
    assert typed("export llama --edit weights.safetensors --to folder --json") == 0
    assert json.loads(capsys.readouterr().out)["folder"] == "folder"
    module = AutoModelForCausalLM.from_pretrained("folder")
    edited = model_of("llama").edited(Stack.load("weights.safetensors"))
    assert torch.equal(module(input_ids=prompts(), use_cache=False).logits, edited.run(prompts()).logits)


def test_stacked_edits_are_exported_together(tmp_path):
    updated(), updated("more.safetensors", "out.0")
    assert typed("export llama --edit weights.safetensors more.safetensors --to folder") == 0
    both = model_of("llama").edited(Stack.load("weights.safetensors"), Stack.load("more.safetensors"))
    save_pretrained(both, tmp_path / "again")
    assert Path("folder/model.safetensors").read_bytes() == Path("again/model.safetensors").read_bytes()


def test_vectors_go_to_other_tools_and_come_back(capsys):
    pytest.importorskip("gguf")
    added()
    assert typed("export llama --edit add.safetensors --gguf v.gguf --steering-vectors v.pt") == 0
    for path in ("v.gguf", "v.pt"):
        assert typed(f"show --edit {path} --json") == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert said["edits"] == [str(Stack.load("add.safetensors")[0])]


def test_what_was_made_is_said_edit_by_edit(capsys):
    updated(), added(at="resid.2")
    assert typed("export llama --edit weights.safetensors --to folder") == 0
    assert capsys.readouterr().out.splitlines() == ["1 edit of llama", "saved as folder"]
    assert typed("export llama --edit add.safetensors --steering-vectors v.pt --json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"edits": [str(Stack.load("add.safetensors")[0])], "notes": [], "steering_vectors": "v.pt"}


def test_notes_of_what_became_otherwise_are_said(capsys):
    updated(at="unembed", family="gpt2")
    assert typed("export gpt2 --edit weights.safetensors --to folder --json") == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert "one tensor with the embedding" in note
    assert typed("export gpt2 --edit weights.safetensors --to other") == 0
    assert capsys.readouterr().out.splitlines() == ["1 edit of gpt2", note, "saved as other"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--edit add.safetensors", "say what to write: --to FOLDER, --gguf FILE or --steering-vectors FILE"),
        ("--edit add.safetensors --to m", "down.1 of this model has no bias"),
        ("--edit weights.safetensors --gguf v.gguf", "nothing but vectors"),
        ("--edit nowhere.safetensors --to m", "nowhere.safetensors"),
        ("--edit weights.safetensors --to there", "there"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_nothing_is_written(words, why, capsys):
    added(), updated()
    Path("there").mkdir()
    Path("there/mine.txt").write_text("mine")
    before = sorted(Path().rglob("*"))
    assert typed(f"export llama {words}") == 1
    assert why in capsys.readouterr().err and sorted(Path().rglob("*")) == before


def test_without_edits_it_is_a_usage_error(capsys):
    assert typed("export llama --to m") == 2 and not Path("m").exists()
