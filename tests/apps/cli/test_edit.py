"""clew edit, export, show --edit and verify --edit, on a tiny model of a few words."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import clew
from clew.apps.cli import run
from clew.changes import Add, Scale, Update
from clew.models.export import save_pretrained
from clew.sites import Site, Weight
from clew.stack import Stack
from tests.models.tiny import model_of, prompts

KIND, RUDE = (
    ("the nurse said that she was good", "the doctor was very good"),
    ("the king was not good", "old man said no"),
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, where every model is tiny."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clew, "open", lambda name, **_: model_of(name), raising=False)
    rows = [{"text": t, "tone": tone} for tone, texts in (("kind", KIND), ("rude", RUDE)) for t in texts]
    Path("tones.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("text.txt").write_text("the nurse said that she was not very good .\n\nthe old man and the king .\n")


def typed(words: str) -> int:
    return run(words.split())


def shift(seed: int = 0) -> torch.Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(seed))


def added(path: str = "add.safetensors", at: str = "resid.1") -> Path:
    return Stack((Add(Site.parse(at), vector=shift()),), "a shift", {"norm": "natural"}).save(path)


def updated(path: str = "weights.safetensors", at: str = "down.1") -> Path:
    out, reads = model_of("llama").body.linear(at).matrix().shape
    return Stack((Update(Weight(at), left=torch.ones(out, 1), right=torch.ones(1, reads), scale=0.3),), "ones").save(
        path
    )


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
        ("export llama --edit add.safetensors", "say what to write"),
        ("export llama --edit add.safetensors --to m", "down.1 of this model has no bias"),
        ("export llama --edit weights.safetensors --gguf v.gguf", "nothing but vectors"),
        ("show", "give a circuit, or a file of edits"),
        ("verify llama --undo", "--undo takes edits back"),
        ("verify llama --edit add.safetensors", "as in --facts facts.json; given: none of them"),
        ("verify llama tense c.json --facts 3", "name them by --edit"),
    ],
)
def test_a_users_mistake_is_one_sentence(words, why, capsys):
    added(), updated()
    assert typed(words) == 1
    assert why in capsys.readouterr().err


def test_show_says_what_is_in_a_file(capsys):
    assert typed("edit llama --labelled tones.jsonl --positive kind --sites resid.1") == 0
    capsys.readouterr()
    assert typed("show --edit edit.safetensors") == 0
    out = capsys.readouterr().out
    assert "add at resid.1: vector [32] of norm " in out
    assert f"for: tiny llama ({model_of('llama').body.fingerprint})" in out
    assert "made by: mean_difference (sites=['resid.1']" in out
    assert typed("show --edit edit.safetensors --json") == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["labelled"] == "tones"


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


@pytest.mark.parametrize("path", ["add.safetensors", "weights.safetensors"])
def test_undo_shows_that_every_bit_is_as_it_was(path, capsys):
    added(), updated()
    assert typed(f"verify llama --edit {path} --json --undo") == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert all(row["value"] == 0 for row in rows if row["of"] != "edited")
    assert any(row["value"] > 0 for row in rows if row["of"] == "edited")


def test_an_edit_is_measured_by_what_goes_with_the_evidence(capsys):
    added()
    assert typed("verify llama --edit add.safetensors --text text.txt --controls 1 --json --out r.json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["provenance"]["method"] == "locality" and said == json.loads(Path("r.json").read_text())
    assert {"KL", "loss increase"} <= {row["measure"] for row in said["rows"]}


def test_a_silent_edit_would_be_said_where_it_is_tried(capsys):
    never = Scale(Site("resid", 1), factor=2.0, where=clew.Where("token", (9999,)))
    Stack((never,)).save("never.safetensors")
    assert (
        run([*"edit llama --by scale_head --layer 1 --head 2 --on never.safetensors --json --try".split(), "the"]) == 0
    )
    assert "never fired" in json.loads(capsys.readouterr().out)["tries"][0]["after"]
