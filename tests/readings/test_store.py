"""Recording: what is on disk is what flows, once each, also after a kill and by several processes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from inspect import unwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from clew import Model
from clew.changes import Scale
from clew.data.text.texts import windows
from clew.data.text.windows import chats, cut
from clew.readings import store as store_module
from clew.readings.source import Source
from clew.readings.store import Store, record
from clew.sites import Site
from clew.tensors import read_tensors, write_tensors
from tests.models.others import other
from tests.models.tiny import model_of, word_tokenizer

TEXTS = [
    "the nurse said that she was not very good . The old king and the red queen said that he was good . "
    "The doctor said of the man ."
] * 3 + ["the queen said ."]
CUTTING = {"context": 8}
RESID = Site.parse("resid.0")


def recorded(model: Model, folder: Path, cutting: Mapping[str, Any] = CUTTING, **options: Any) -> Store:
    windows = cut(TEXTS, model.tokenizer, **cutting)
    return record(model, windows, sites=["resid.0", "mlp.1"], to=folder, **{"batch": 24} | options)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_recorded_is_what_flows(tmp_path: Path) -> None:
    model = model_of()
    store = recorded(model, tmp_path)
    rows = list(windows(TEXTS, lambda text: model.tokenizer(text)["input_ids"], 8))
    wanted = torch.cat([model.run(torch.tensor([row]), read=["mlp.1"])["mlp.1"][0, 1:] for row in rows])
    assert torch.allclose(store["mlp.1"], wanted, atol=2e-2, rtol=2e-3)
    assert store.tokens.tolist() == [t for row in rows for t in row[1:]]
    assert len(store) == len(wanted) and store["resid.0"].dtype == torch.float32


def test_pictures_are_recorded_whole_by_the_ids_that_stand_for_them(tmp_path: Path) -> None:
    model = other("vit")
    pixels = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = model.show(pixel_values=pixels)
    store = record(model, rows, sites=["resid.0"], to=tmp_path, dtype="float32")
    with torch.no_grad():
        hidden = model.body.module(pixel_values=pixels, output_hidden_states=True).hidden_states[1]
    assert torch.allclose(store["resid.0"], hidden.flatten(0, 1).float(), atol=1e-5, rtol=1e-5)
    assert store.tokens.tolist() == [one for row in rows for one in row]


def test_windows_of_an_encoder_are_padded_where_it_does_not_see_them(tmp_path: Path) -> None:
    model, rows = other("bert"), [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]
    store = record(model, rows, sites=["resid.1"], to=tmp_path, dtype="float32")
    wanted = torch.cat([model.run([row], read=["resid.1"])["resid.1"][0] for row in rows])
    assert torch.allclose(store["resid.1"], wanted.float(), atol=1e-5, rtol=1e-5)


def test_the_bare_module_says_the_same(tmp_path: Path) -> None:
    model = model_of(dtype=torch.float64)
    store = recorded(model, tmp_path, {"packing": "none", "context": 20}, dtype="float32", shard=20)
    module, ids = model.body.module, [model.tokenizer(text)["input_ids"][:20] for text in TEXTS]
    with torch.no_grad():
        hidden = [module(torch.tensor([row]), output_hidden_states=True).hidden_states[1][0, 1:] for row in ids]
    assert torch.allclose(store["resid.0"], torch.cat(hidden).float(), atol=1e-5, rtol=1e-5)
    assert store.documents.tolist() == [d for d, row in enumerate(ids) for _ in row[1:]]


def test_a_store_is_of_one_model(tmp_path: Path) -> None:
    model = model_of()
    recorded(model, tmp_path)
    next(tmp_path.glob("shard-*")).unlink()
    with torch.no_grad():
        model.body.linear("down.0").owner.get_parameter("weight").mul_(2)
    with pytest.raises(ValueError, match="another recording .it differs in weights.; choose"):
        recorded(model, tmp_path)


def test_two_do_not_record_into_one_store(tmp_path: Path) -> None:
    model, refused = model_of(), list[str]()

    def meanwhile(done: int, of: int) -> None:
        for options in ({}, {"dtype": "float32"}) if done < of else ():
            with pytest.raises(ValueError, match="recording|another") as error:
                recorded(model, tmp_path, shard=10, **options)
            refused.append(str(error.value))

    whole = files(recorded(model, tmp_path / "alone", shard=10).folder)
    tmp_path = tmp_path / "both"
    store = recorded(model, tmp_path, shard=10, progress=meanwhile)
    assert files(tmp_path) == whole and len(refused) == 2 * (len(store.shards) - 1) > 0
    assert refused[0].startswith(f"{tmp_path} is in use by process {os.getpid()} on")
    assert "differs in dtype" in refused[1]
    assert files(recorded(model, tmp_path, shard=10).folder) == whole  # a whole one needs no lock


KILLED = """
import os, signal, sys, safetensors.torch, tests.conftest
from tests.readings import test_store as t
where, folder = sys.argv[1:]
save, saved = safetensors.torch.save_file, []
def dies(*given, **options):
    saved.append(save(*given, **options))
    if where == "writing" and len(saved) == 3:
        with open(given[1], "r+b") as file:
            file.truncate(100)
        os.kill(os.getpid(), signal.SIGKILL)
safetensors.torch.save_file = dies
def progress(done, of):
    if where == "running" and done > of / 2:
        os.kill(os.getpid(), signal.SIGKILL)
t.recorded(t.model_of(), t.Path(folder), shard=10, progress=progress)
"""


@pytest.mark.parametrize("where", ["running", "writing"])
def test_a_killed_recording_goes_on_to_the_same_bytes(tmp_path: Path, where: str) -> None:
    whole = recorded(model_of(), tmp_path / "whole", shard=10)
    root, killed = Path(__file__).parents[2], tmp_path / "killed"
    child = subprocess.run([sys.executable, "-c", KILLED, where, str(killed)], cwd=root, check=False)
    assert child.returncode == -signal.SIGKILL
    left = {path.name: path.stat().st_mtime_ns for path in killed.glob("shard-*")}
    assert 1 < len(left) < len(whole.shards)
    with pytest.raises(ValueError, match=rf"holds {len(left)} of {len(whole.shards)} shards; record again"):
        Store.load(killed)
    recorded(model_of(), killed, shard=10)
    assert files(killed) == files(tmp_path / "whole")
    assert {name: (killed / name).stat().st_mtime_ns for name in left} == left


def test_a_second_recording_only_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = recorded(model_of(), tmp_path)
    monkeypatch.setattr(store_module, "_run", None)
    assert recorded(model_of(), tmp_path).about == first.about == Store.load(tmp_path).about


def test_a_broken_shard_is_named_and_recorded_again(tmp_path: Path) -> None:
    store = recorded(model_of(), tmp_path, shard=10)
    before = files(tmp_path)
    store.shards[1].write_bytes(before["shard-00001.safetensors"][:-1])
    with pytest.raises(ValueError, match="shard-00001.* is no whole shard"):
        store["resid.0"]
    recorded(model_of(), tmp_path, shard=10)
    assert files(tmp_path) == before


def test_processes_write_one_store_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = recorded(model_of(), tmp_path / "alone", shard=10)
    half = recorded(model_of(), tmp_path / "shared", shard=10, rank=1, world=2)
    with pytest.raises(ValueError, match=r"is no whole shard|No such file"):
        half["resid.0"]
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    recorded(model_of(), tmp_path / "shared", shard=10)
    assert files(tmp_path / "shared") == files(tmp_path / "alone")
    assert torch.equal(Store.load(tmp_path / "shared")["mlp.1"], alone["mlp.1"])


def test_a_store_is_a_source_of_every_row_once_an_epoch(tmp_path: Path) -> None:
    recorded(model_of(), tmp_path, shard=10)
    store = Store.load(tmp_path, round=20, seed=5)
    assert isinstance(store, Source) and store.rounds == round(len(store) / 20) == 3

    def epoch(number: int) -> torch.Tensor:
        return torch.cat([store.round(number * 3 + i)[RESID] for i in range(3)]).float()

    assert sorted(epoch(0).tolist()) == sorted(epoch(1).tolist()) == sorted(store["resid.0"].tolist())
    assert torch.equal(epoch(0), epoch(0)) and not torch.equal(epoch(0), epoch(1))
    both = store.round(4)
    assert both[RESID].dtype == torch.float16 and len(both[RESID]) == len(both[Site.parse("mlp.1")])


def test_processes_share_the_shards_of_an_epoch(tmp_path: Path) -> None:
    recorded(model_of(), tmp_path, shard=10)
    shares = [Store.load(tmp_path, round=20, rank=rank, world=2) for rank in range(2)]
    assert [s.rounds for s in shares] == [2, 2]
    rows = torch.cat([s.round(n)[RESID] for s in shares for n in (2, 3)]).float()
    assert sorted(rows.tolist()) == sorted(shares[0]["resid.0"].tolist())
    with pytest.raises(ValueError, match="7 shards cannot be shared among 8 processes"):
        Store.load(tmp_path, rank=0, world=8).round(0)


def test_int8_by_hand_and_what_it_lost(tmp_path: Path) -> None:
    x = torch.tensor([[127.0, -64.0, 0.0], [0.5, 0.25, -1.0], [0.0, 0.0, 0.0]])
    values, scale = store_module._narrow(x, "int8")
    assert values.tolist() == [[127, -64, 0], [64, 32, -127], [0, 0, 0]]
    assert torch.allclose(scale, torch.tensor([1.0, 1 / 127, 0.0]))
    exact, small = (recorded(model_of(), tmp_path / d, dtype=d) for d in ("float32", "int8"))
    error, flow = small["mlp.1"] - exact["mlp.1"], exact["mlp.1"]
    fvu = float(error.square().sum() / (flow - flow.mean(0)).square().sum())
    assert small.lost[Site.parse("mlp.1")] == pytest.approx(fvu, rel=1e-3) and 0 < fvu < 1e-3
    assert set(exact.lost.values()) == {0.0}
    assert small.round(0)[RESID].dtype == torch.float32


def test_a_value_beyond_half_precision_keeps_its_site_in_float32(tmp_path: Path) -> None:
    huge = model_of().edited(Scale(RESID, factor=1e5))
    store = recorded(huge, tmp_path)
    assert float(store["resid.0"].abs().max()) > 65_504 and store.round(0)[RESID].dtype == torch.float32
    assert store.lost[RESID] == 0 < store.lost[Site.parse("mlp.1")]


def test_chats_are_recorded_with_their_classes(tmp_path: Path) -> None:
    model = model_of()
    model.tokenizer.chat_template = "{% for m in messages %}, {{ m.content }} <eos> {% endfor %}"
    talk = [{"role": "user", "content": "the old king"}, {"role": "assistant", "content": "he said"}]
    store = record(model, chats([talk] * 4, model.tokenizer), sites=["resid.1"], to=tmp_path)
    assert store.classes.tolist() == [1, 1, 1, 0, 0, 2, 2, 0] * 4 and store.policy["packing"] == "chats"


def test_no_more_than_was_wanted(tmp_path: Path) -> None:
    told = []
    store = recorded(model_of(), tmp_path, tokens=10, progress=lambda done, of: told.append((done, of)))
    assert 10 <= len(store) < 10 + 8 and told[-1] == (len(store), len(store))
    texts, some = (
        record(model_of(), given, sites=["resid.0"], to=tmp_path / name, tokens=10)
        for name, given in (("texts", TEXTS), ("windows", cut(TEXTS, word_tokenizer())))
    )
    assert len(texts) == len(some) < len(cut(TEXTS, word_tokenizer()).kept)


def test_texts_are_cut_as_cut_does_by_default(tmp_path: Path) -> None:
    model, options = model_of(), {"sites": ["resid.0"], "dtype": "float32"}
    texts, windows = (
        record(model, given, to=tmp_path / name, **options)
        for name, given in (("texts", TEXTS), ("windows", cut(TEXTS, model.tokenizer, limit=100_000)))
    )
    assert texts.policy == windows.policy and torch.equal(texts["resid.0"], windows["resid.0"])


def test_another_recording_is_told_by_what_differs(tmp_path: Path) -> None:
    recorded(model_of(), tmp_path)
    with pytest.raises(ValueError, match=r"differs in edits\); choose another folder"):
        recorded(model_of().edited(Scale(RESID, factor=2.0)), tmp_path)
    with pytest.raises(ValueError, match=r"differs in dtype\)"):
        recorded(model_of(), tmp_path, dtype="int8")
    with pytest.raises(ValueError, match=r"differs in tokens, policy\)"):
        recorded(model_of(), tmp_path, {"context": 9}, tokens=len(Store.load(tmp_path)))


def test_what_cannot_be_read_or_recorded(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"resid\.2 was not recorded"):
        recorded(model_of(), tmp_path / "a")["resid.2"]
    with pytest.raises(ValueError, match="a store cannot hold 'int4'"):
        unwrap(record)(model_of(), TEXTS, sites=["resid.0"], to=tmp_path / "b", dtype="int4")
    plan = tmp_path / "a" / "store.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"version": 1}))
    with pytest.raises(ValueError, match="is a store of version 1"):
        Store.load(tmp_path / "a")


def test_a_store_says_what_it_holds(tmp_path):
    store = recorded(model_of(), tmp_path / "store")
    assert (
        repr(store)
        == f"Store({str(tmp_path / 'store')!r}: {len(store)} tokens of {model_of().name} at resid.0, mlp.1, float16)"
    )


def replanned(folder: Path, **changed: Any) -> None:
    plan = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps({name: v for name, v in (plan | changed).items() if v != "lost"}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"shards": 10**12}, r"holds 7 of 1000000000000 shards"),
        ({"shards": 6}, r"speaks of 6 shards of \d+ tokens; the folder holds 7 of \d+"),
        ({"tokens": 10**12}, r"speaks of 7 shards of 1000000000000 tokens; the folder holds 7 of \d+"),
        ({"tokens": "57"}, "tokens is '57'; a whole number is due"),
        ({"shards": -1}, "shards is -1; it is at least 1"),
        ({"dtype": "int4"}, "dtype is 'int4'; it is one of"),
        ({"dtype": "float32"}, "shard-00000.*resid.0 is of torch.float16; float32 was recorded"),
        ({"sites": {"resid.0": 32}}, r"does not hold mlp.1 as recorded"),
        ({"sites": {"resid.0": 32, "mlp.1": 31}}, r"does not hold mlp.1 as recorded"),
        ({"sites": {"residd.0": 32}}, "is not a part of a model"),
        ({"policy": "lost"}, "has no 'policy'"),
        ({"more": 1}, "has 'more', which is none of"),
    ],
)
def test_a_plan_that_is_not_what_was_recorded_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    recorded(model_of(), tmp_path, shard=10)
    replanned(tmp_path, **changed)
    with pytest.raises(ValueError, match=said) as caught:
        Store.load(tmp_path)["resid.0"]
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("resid.0", lambda t: t.fill_(torch.nan), "values of resid.0 in it are not finite"),
        ("resid.0", lambda t: t.to(torch.int16), "resid.0 is of torch.int16; float16 was recorded"),
        ("tokens", lambda t: -t - 1, "its tokens are no numbers from 0 on"),
        ("tokens", lambda t: t.float(), "its tokens are no numbers from 0 on"),
    ],
)
def test_a_shard_that_holds_something_else_is_named(tmp_path: Path, name: str, spoil: Any, said: str) -> None:
    recorded(model_of(), tmp_path, shard=10)
    path = tmp_path / "shard-00001.safetensors"
    tensors, about = read_tensors(path)
    write_tensors(path, {n: spoil(t.clone()) if n == name else t.clone() for n, t in tensors.items()}, about)
    with pytest.raises(ValueError, match=rf"shard-00001\.safetensors is no whole shard of a store \(.*{said}"):
        _ = Store.load(tmp_path).tokens, Store.load(tmp_path)["resid.0"]


def test_a_shard_without_a_site_is_seen_when_the_store_is_opened(tmp_path: Path) -> None:
    recorded(model_of(), tmp_path, shard=10)
    path = tmp_path / "shard-00001.safetensors"
    tensors, about = read_tensors(path)
    write_tensors(path, {n: t.clone() for n, t in tensors.items() if n != "mlp.1"}, about)
    with pytest.raises(
        ValueError, match=r"shard-00001\.safetensors is no whole shard .*does not hold mlp\.1 as recorded"
    ):
        Store.load(tmp_path)
