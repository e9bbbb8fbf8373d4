"""Recording: what is on disk is what flows, once each, also after a kill."""

from pathlib import Path

import pytest
import torch

from clew import Model
from clew.data import store as store_module
from clew.data.store import Store, record
from clew.data.text import read_texts, sentences, windows
from tests.models.tiny import model_of

TEXTS = [
    "the nurse said that she was not very good . The old king and the red queen said that he was good . "
    "The doctor said of the man ."
] * 3 + ["the queen said ."]


def recorded(model: Model, folder: Path, **options: object) -> Store:
    return record(model, TEXTS, sites=["resid.0", "mlp.1"], to=folder, **{"context": 8, "batch": 24} | options)


def test_what_is_recorded_is_what_flows(tmp_path: Path) -> None:
    model = model_of()
    store = recorded(model, tmp_path)
    rows = list(windows(TEXTS, lambda text: model.tokenizer(text)["input_ids"], 8))
    wanted = torch.cat([model.run(torch.tensor([row]), read=["mlp.1"])["mlp.1"][0, 1:] for row in rows])
    assert torch.allclose(store["mlp.1"], wanted, atol=2e-2, rtol=2e-3)
    assert store.tokens.tolist() == [t for row in rows for t in row[1:]]
    assert len(store) == len(wanted) and store["resid.0"].dtype == torch.float32


def test_a_killed_recording_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SHARD", 2)
    whole = recorded(model_of(), tmp_path / "whole")
    run, calls = store_module._run, []

    def killed(*given: object) -> object:
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(*given)

    monkeypatch.setattr(store_module, "_run", killed)
    with pytest.raises(KeyboardInterrupt):
        recorded(model_of(), tmp_path / "killed")
    resumed = recorded(model_of(), tmp_path / "killed")
    assert len(calls) == len(whole.shards) + 1
    assert torch.equal(resumed["resid.0"], whole["resid.0"]) and torch.equal(resumed.tokens, whole.tokens)


def test_a_second_recording_only_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = recorded(model_of(), tmp_path)
    monkeypatch.setattr(store_module, "_run", None)
    assert recorded(model_of(), tmp_path).about == first.about


def test_no_more_than_was_wanted(tmp_path: Path) -> None:
    told = []
    store = recorded(model_of(), tmp_path, tokens=10, progress=lambda done, of: told.append((done, of)))
    assert 10 <= len(store) < 10 + 8 and told[-1] == (len(store), len(store))


def test_a_broken_shard_is_named(tmp_path: Path) -> None:
    store = recorded(model_of(), tmp_path)
    store.shards[0].write_bytes(b"half")
    with pytest.raises(ValueError, match="shard-00000.* is no whole shard"):
        store["resid.0"]


def test_a_site_that_was_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"resid\.2 was not recorded"):
        recorded(model_of(), tmp_path)["resid.2"]


def test_windows_start_at_sentences_and_stay_in_their_text() -> None:
    texts = ["One two. Three four five. Six.", "Seven eight. Nine"]
    cut = list(windows(texts, str.split, 4))
    assert cut == [["One", "two."], ["Three", "four", "five.", "Six."], ["Seven", "eight.", "Nine"]]
    assert list(windows(["a b c d e f"], str.split, 4)) == [["a", "b", "c", "d"]]


def test_sentences() -> None:
    assert sentences('He came in 1.5 hours. "She left." Then rain.') == [
        "He came in 1.5 hours.",
        '"She left." Then rain.',
    ]


def test_texts_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\nstill one\n\n\ntwo\n")
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n{"text": "four"}\n')
    (tmp_path / "empty.txt").write_text("\n\n")
    assert read_texts(tmp_path / "a.txt") == ["one\nstill one", "two"]
    assert read_texts(tmp_path / "b.jsonl") == ["three", "four"]
    for name in ("empty.txt", "none.txt"):
        with pytest.raises(ValueError, match=name):
            read_texts(tmp_path / name)
