"""The pass: resumed, shared and thinned, it ends in the same bytes; what cannot be indexed is refused."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import clew
from clew.changes import Scale
from clew.readings.index import build
from clew.readings.index.index import Index
from tests.readings.index.planted import (
    CHUNKS,
    TEXTS,
    files,
    indexed,
    model,
    signed_dictionary,
    windows,
    words_dictionary,
)


def in_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own; how that ended."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(write: int, folder: Path, keep: str) -> None:
    """Index, and die in the middle of the n-th file of tensors."""
    save, saved = safetensors.torch.save_file, list[str]()

    def dies(held: object, place: str, **options: object) -> None:
        save(held, place, **options)
        saved.append(place)
        if len(saved) == write:
            os.truncate(place, 100)
            os.kill(os.getpid(), signal.SIGKILL)

    safetensors.torch.save_file = dies
    indexed(folder, keep=keep)


def killed_clearing(files: int, folder: Path) -> None:
    """Index, and die when that many halves of parts have been taken away."""
    unlink, gone = Path.unlink, list[Path]()

    def dies(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        gone.extend([path] if "parts" in path.parts else [])
        if len(gone) == files:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", dies)
        indexed(folder, keep="top")


@pytest.mark.parametrize(("keep", "write"), [("all", n) for n in range(1, 8)] + [("top", n) for n in range(1, 18)])
def test_killed_while_it_writes_it_goes_on_to_the_same_bytes(tmp_path: Path, write: int, keep: str) -> None:
    indexed(tmp_path / "whole", keep=keep)
    killed = tmp_path / "killed"
    assert in_child(lambda: killed_at(write, killed, keep)) == -signal.SIGKILL
    left = {path: path.stat().st_mtime_ns for path in killed.rglob("*.safetensors")}
    assert len(left) == write - 1 or keep == "top"
    with pytest.raises(ValueError, match=r"again|whole|all there|no such file"):
        Index.load(killed)
    indexed(killed, keep=keep)
    assert files(killed) == files(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == then for path, then in left.items() if path.exists())


@pytest.mark.parametrize("files_gone", range(1, 13))
def test_killed_between_a_part_and_its_halves_it_goes_on_to_the_same_bytes(tmp_path: Path, files_gone: int) -> None:
    indexed(tmp_path / "whole", keep="top")
    assert in_child(lambda: killed_clearing(files_gone, tmp_path / "killed")) == -signal.SIGKILL
    indexed(tmp_path / "killed", keep="top")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_small_index_is_small_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large, parts = indexed(tmp_path / "all", chunk=4), dict[str, int]()
    save = build.keep_part

    def told(folder: Path, *given: object) -> None:
        save(folder, *given)
        parts[str(len(parts))] = len(list((folder / "parts" / "embed").iterdir()))

    monkeypatch.setattr(build, "keep_part", told)
    small = indexed(tmp_path / "top", chunk=4, keep="top")
    assert len(parts) >= 30 and max(parts.values()) <= 4
    assert not (small.folder / "firings").exists() and not (small.folder / "parts").exists()
    for site in large.sites:
        for name in ("count", "histogram", "quantiles", "low", "high"):
            assert (getattr(large.summary(site), name) == getattr(small.summary(site), name)).all()
        for unit in range(large.units(site)):
            assert large.nearest(site, unit, "cofiring") == small.nearest(site, unit, "cofiring")
            assert large.sample(site, unit).place.tolist() == small.sample(site, unit).place.tolist()


@pytest.mark.parametrize("keep", ["all", "top"])
def test_processes_share_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str) -> None:
    indexed(tmp_path / "alone", keep=keep)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    dictionaries = [words_dictionary(), signed_dictionary()]
    assert clew.index(model(), dictionaries, windows(), to=tmp_path / "shared", keep=keep, **CHUNKS) is None
    assert len(list((tmp_path / "shared").rglob("firings/*.safetensors"))) == (2 if keep == "all" else 0)
    monkeypatch.setenv("RANK", "0")
    indexed(tmp_path / "shared", keep=keep)
    assert files(tmp_path / "shared") == files(tmp_path / "alone")


def test_two_processes_at_once_end_in_the_same_bytes(tmp_path: Path) -> None:
    indexed(tmp_path / "alone")

    def share(rank: int) -> None:
        os.environ.update(RANK=str(rank), WORLD_SIZE="2")
        clew.index(model(), [words_dictionary(), signed_dictionary()], windows(), to=tmp_path / "shared", **CHUNKS)

    with ThreadPoolExecutor(2) as both:
        assert list(both.map(lambda rank: in_child(lambda: share(rank)), range(2))) == [0, 0]
    assert files(tmp_path / "shared") == files(tmp_path / "alone")


def test_a_second_time_it_only_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed(tmp_path)
    before = files(tmp_path)
    monkeypatch.setattr(build, "_chunk", None)
    monkeypatch.setattr(build, "make_shards", None)
    indexed(tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["resid.1/0-40.safetensors", "firings/00001.safetensors"])
@pytest.mark.parametrize("left", [None, 1000])
def test_what_is_lost_or_cut_off_is_made_again(tmp_path: Path, name: str, left: int | None) -> None:
    indexed(tmp_path)
    before = files(tmp_path)
    if left:
        os.truncate(tmp_path / name, left)
    else:
        (tmp_path / name).unlink()
    indexed(tmp_path)
    assert files(tmp_path) == before


def test_documents_are_whole_and_shuffled(tmp_path: Path) -> None:
    index = indexed(tmp_path, words_dictionary())
    assert sorted(index.text.origin.tolist()) == list(range(len(TEXTS))) != index.text.origin.tolist()
    for i, origin in enumerate(index.text.origin.tolist()):
        start, end = index.documents[i : i + 2]
        assert index.tokens[start:end].tolist() == model().tokenizer(TEXTS[origin])["input_ids"], origin
    other = indexed(tmp_path / "other", words_dictionary(), seed=1)
    assert other.text.origin.tolist() != index.text.origin.tolist()


def test_neurons_and_heads_keep_a_top_a_sample_and_a_count(tmp_path: Path) -> None:
    view = [model().neurons("neuron.1").dictionaries, model().heads().dictionaries]
    (neurons,), (_, heads, _) = (list(some.values()) for some in view)
    index = indexed(tmp_path, neurons, heads, top=4, sample=3, batch=2048, chunk=40)
    read = model().run(
        torch.tensor(index.tokens[: index.text.windows[1]].astype(np.int64))[None], read=["neuron.1", "head.1"]
    )
    n = int(index.text.windows[1])
    told = index.summary("neuron.1")
    assert told.count.tolist() == [index.about["positions"]] * neurons.n_units
    values = read["neuron.1"][0].numpy()
    for unit in (0, 5):
        row = index.row("neuron.1", unit)
        assert 4 <= len(row) < 100 and told.high[unit] == pytest.approx(row.value.max())
        for place, value in zip(row.place, row.value, strict=True):
            assert place >= n or value == pytest.approx(values[place, unit], rel=1e-2, abs=1e-4)
        assert index.sample("neuron.1", unit).weight.sum() == pytest.approx(told.count[unit])
    matrix = model().body.linear("out.1").matrix()
    per = matrix.shape[1] // heads.n_units
    for unit in range(heads.n_units):
        here = slice(unit * per, (unit + 1) * per)
        norm = (read["head.1"][0][:, here] @ matrix[:, here].T).norm(dim=-1)
        for place, value in zip(index.row("head.1", unit).place, index.row("head.1", unit).value, strict=True):
            assert place >= n or value == pytest.approx(float(norm[place]), rel=1e-2)
    assert np.isnan(index.top("neuron.1", 0, 1)[0].values).any()
    with pytest.raises(ValueError, match="does not say which units of neuron.1 are near by cofiring"):
        index.nearest("neuron.1", 0, "cofiring")


def test_the_top_of_neurons_is_the_top_of_all_chunks(tmp_path: Path) -> None:
    (neurons,) = model().neurons("neuron.1").dictionaries.values()
    small, large = (indexed(tmp_path / str(n), neurons, top=4, sample=3, chunk=n) for n in (10, 10_000))
    for unit in range(neurons.n_units):
        a, b = small.row("neuron.1", unit), large.row("neuron.1", unit)
        assert a.place.tolist() == b.place.tolist() and a.value == pytest.approx(
            b.value,
            rel=2e-3,
            abs=2e-7,  # kept in half precision, whose least steps are 6e-8
        )


def test_edits_in_force_are_seen(tmp_path: Path) -> None:
    edited = model().edited(Scale("resid.0", factor=0.5))
    index = clew.index(edited, signed_dictionary(), windows(), to=tmp_path / "edited")
    bare = indexed(tmp_path / "bare", signed_dictionary())
    assert (
        index
        and index.about["edits"]
        and index.row("resid.1", 0).value.tolist() != bare.row("resid.1", 0).value.tolist()
    )


def test_what_is_large_for_float16_is_kept_and_what_is_small_still_fires(tmp_path: Path) -> None:
    for name, factor, kind in (("large", 1e6, "float32"), ("small", 1e-9, "float16")):
        index = indexed(tmp_path / name, words_dictionary(lambda _, f=factor: f))
        shard = index._shard("embed", *index._ranges["embed"][0])
        assert shard["value"].dtype == kind
        assert index.summary("embed").count.sum() == index.about["positions"]
    assert index.row("embed", 5).value == pytest.approx(2.0**-24)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dictionaries": []}, "name at least one dictionary"),
        ({"keep": "some"}, "cannot keep 'some'; choose from all, top"),
        ({"top": -1}, "top=-1, sample=8, chunk=25: what is kept is 0 or more"),
        ({"seed": 3}, "holds another index .it differs in seed"),
    ],
)
def test_what_cannot_be_indexed_is_refused(tmp_path: Path, options: dict, says: str) -> None:
    indexed(tmp_path)
    given = {"dictionaries": [words_dictionary(), signed_dictionary()], **options}
    with pytest.raises(ValueError, match=says):
        unwrap(clew.index)(model(), given.pop("dictionaries"), windows(), to=tmp_path, **CHUNKS, **given)
