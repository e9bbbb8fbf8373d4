"""clew record on a tiny model: what is typed is what is recorded."""

import json
from pathlib import Path

import pytest

import clew
from clew.apps.cli import record as command
from clew.apps.cli import run
from clew.readings.store import Store
from tests.models.tiny import model_of

TALK = [{"role": "user", "content": "the old king"}, {"role": "assistant", "content": "he said"}]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A folder with a text and chats, and a `clew.open` that opens a tiny model; how it was asked to."""
    asked = {}
    model = model_of()
    model.tokenizer.chat_template = "{% for m in messages %}, {{ m.content }} <eos> {% endfor %}"
    monkeypatch.setattr(clew, "open", lambda name, **options: asked.update(options, name=name) or model, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("the nurse said that she was old .\n\nthe king was red and the queen said so .\n\na man .")
    Path("chats.jsonl").write_text(json.dumps({"messages": TALK}) + "\n")
    return asked


def typed(words: str) -> int:
    return run(words.split())


def test_a_text_is_recorded_at_every_site_that_is_named(tiny, capsys):
    assert (
        typed("record tiny a.txt --sites resid.* mlp.1 --to s --context 8 --dtype int8 --run-dtype float32 --json") == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert said["sites"] == ["resid.0", "mlp.1", "resid.1", "resid.2"]
    store = Store.load("s")
    assert (said["tokens"], said["policy"]["context"], said["dtype"]) == (len(store), 8, "int8")
    assert said["bytes"] == sum(p.stat().st_size for p in store.shards) and 0 < said["lost"]["mlp.1"] < 1e-3
    assert tiny["name"] == "tiny" and tiny["dtype"] == "float32"


def test_people_get_two_lines(tiny, capsys):
    assert typed("record tiny a.txt a.txt --sites resid.0 --to s --shuffle 3 --packing blocks --tokens 20") == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2 and "positions of 1 sites" in out[0] and "float16 lost at most" in out[1]
    assert Store.load("s").policy["packing"] == "blocks"


def test_chats_by_role(tiny):
    assert typed("record tiny chats.jsonl --chat --roles assistant --sites resid.0 --to s") == 0
    assert len(Store.load("s")) == 2 and Store.load("s").policy["context"] == 8192


def test_an_interrupted_recording_says_how_to_go_on(tiny, monkeypatch, capsys):
    from clew.readings import store

    run_shard = store._run

    def stop(*given):
        raise KeyboardInterrupt

    words = "record tiny a.txt --sites resid.0 --to s"
    monkeypatch.setattr(store, "_run", stop)
    assert typed(words) == 130
    assert "the same command goes on where it stopped" in capsys.readouterr().err
    monkeypatch.setattr(store, "_run", run_shard)
    assert typed(words) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("record tiny --sites resid.0 --to s", "name a text to record"),
        ("record tiny none.txt --sites resid.0 --to s", "there is no text file none.txt"),
        ("record tiny a.txt --sites resid.99 --to s", "'resid.99' is not a site of tiny llama"),
        ("record tiny a.txt --sites rasid.* --to s", "'rasid.*' is not a site"),
        ("record tiny a.txt --roles user --sites resid.0 --to s", "give --chat with it"),
        ("record tiny chats.jsonl --sites resid.0 --to s", "'messages' is a chat"),
    ],
)
def test_mistakes_are_one_sentence(tiny, capsys, words, said):
    assert typed(words) == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_patterns_are_in_forward_order_once_and_leave_attention_patterns_out():
    model = model_of()
    assert [str(s) for s in command.matching(model, ["resid.1", "resid.*", "embed"])][:3] == [
        "embed",
        "resid.0",
        "resid.1",
    ]
    assert all(s.part != "pattern" for s in command.matching(model, ["*"]))
