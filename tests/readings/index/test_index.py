"""What is read off an index is what fires: by hand where a unit is a word, and by running every window alone."""

from inspect import unwrap
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import clew
from clew.firings import Firings
from clew.readings.index._bands import drawn_from
from clew.readings.index.index import Index
from clew.readings.index.shards import check_chunk
from clew.readings.index.taken import taken
from clew.tensors import read_tensors, write_tensors
from tests.readings.asking.scripted import scripted
from tests.readings.index.planted import (
    KING,
    QUEEN,
    VERY,
    directly,
    files,
    indexed,
    model,
    signed_dictionary,
    words_dictionary,
)


def test_a_unit_that_is_a_word_fires_where_the_word_stands(tmp_path: Path) -> None:
    index = indexed(tmp_path, words_dictionary(lambda unit: 1 + unit / 8))
    for unit in (KING, QUEEN, VERY):
        row = index.row("embed", unit)
        there = np.flatnonzero((index.tokens == unit) & index.text.kept)
        assert row.place.tolist() == there.tolist()
        assert row.value == pytest.approx(1 + unit / 8, rel=1e-3)
    assert index.row("embed", 0).place.size == 0


def test_it_is_where_units_fire_for_whoever_explains(tmp_path: Path) -> None:
    index = indexed(tmp_path)
    assert isinstance(index, Firings)
    assert (
        index.windows[0] == 0 and index.windows[-1] == len(index.tokens) and set(index.documents) <= set(index.windows)
    )


def test_contexts_show_the_word_and_where_else_it_stands(tmp_path: Path) -> None:
    index = indexed(tmp_path, words_dictionary())
    for context in index.top("embed", VERY, 4):
        assert context.words[context.at].strip() == "very" and "« very»" in str(context)
        assert (context.values > 0).tolist() == [w.strip() == "very" and i > 0 for i, w in enumerate(context.words)]
        start, end = index.documents[context.document : context.document + 2]
        assert start <= context.place < end and index.tokens[context.place] == VERY


def test_rows_are_what_every_window_says_alone(tmp_path: Path) -> None:
    dictionary = signed_dictionary()
    index = indexed(tmp_path, dictionary)
    code, fires = directly(index, dictionary)
    assert fires.sum() == 5 * index.about["positions"]
    for unit in range(index.units("resid.1")):
        row = index.row("resid.1", unit)
        assert sorted(row.place) == np.flatnonzero(fires[:, unit]).tolist()
        assert row.value == pytest.approx(code[row.place, unit], rel=1e-3, abs=1e-6)
        order = list(zip(-np.abs(row.value), row.place, strict=True))
        assert order == sorted(order)


def test_the_twin_by_document_says_the_same(tmp_path: Path) -> None:
    dictionary = signed_dictionary()
    index = indexed(tmp_path, dictionary)
    code, fires = directly(index, dictionary)
    whole = [index.document("resid.1", i) for i in range(len(index.documents) - 1)]
    place, unit = (np.concatenate([getattr(some, name) for some in whole]) for name in ("place", "unit"))
    assert list(zip(place, unit, strict=True)) == list(zip(*np.nonzero(fires), strict=True))
    some = index.at("resid.1", int(place[7]))
    assert some.unit.tolist() == np.flatnonzero(fires[place[7]]).tolist() and set(some.place) == {place[7]}
    assert some.value == pytest.approx(code[place[7], some.unit], rel=1e-3)


def test_what_is_counted_is_what_fires(tmp_path: Path) -> None:
    dictionary = signed_dictionary()
    index = indexed(tmp_path, dictionary)
    code, fires = directly(index, dictionary)
    told = index.summary("resid.1")
    assert told.count.tolist() == fires.sum(0).tolist() and told.positions == index.text.kept.sum()
    assert told.density == pytest.approx(fires.sum(0) / told.positions)
    assert told.positive * told.count == pytest.approx((code > 0).sum(0))
    assert told.negative * told.count == pytest.approx((code < 0).sum(0))
    assert 0 < told.negative.mean() < 1
    assert told.max == pytest.approx(np.abs(code).max(0), rel=1e-3)
    assert told.high == pytest.approx(code.max(0).clip(0), rel=1e-3)
    assert told.low == pytest.approx(code.min(0).clip(max=0), rel=1e-3)
    sizes = [np.sort(np.abs(code[fires[:, u], u])) for u in range(len(told.count))]
    medians = [s[len(s) - 1 - round((len(s) - 1) / 2)] if len(s) else 0 for s in sizes]
    assert told.quantiles[:, 5] == pytest.approx(np.array(medians), rel=1e-3)


def test_a_small_store_holds_the_same_top_and_the_same_sample(tmp_path: Path) -> None:
    whole = indexed(tmp_path / "all", signed_dictionary(), top=3, sample=2)
    small = indexed(tmp_path / "top", signed_dictionary(), top=3, sample=2, keep="top")
    fewer = 0
    for unit in range(40):
        ours, theirs = small.row("resid.1", unit), whole.row("resid.1", unit)
        fewer += len(ours) < len(theirs)
        assert set(zip(ours.place, ours.value, strict=True)) <= set(zip(theirs.place, theirs.value, strict=True))
        assert ours.place[:3].tolist() == theirs.place[:3].tolist()
        a, b = small.sample("resid.1", unit), whole.sample("resid.1", unit)
        assert a.place.tolist() == b.place.tolist() and a.weight.tolist() == b.weight.tolist()
        assert a.weight.sum() == pytest.approx(whole.summary("resid.1").count[unit])
        for one, other in zip(small.top("resid.1", unit, 3), whole.top("resid.1", unit, 3), strict=True):
            assert one.values.tolist() == other.values.tolist()
    assert fewer > 5 and not (tmp_path / "top" / "firings").exists()
    assert small.summary("resid.1").histogram.tolist() == whole.summary("resid.1").histogram.tolist()
    with pytest.raises(ValueError, match="keeps the largest firings of resid.1"):
        small.at("resid.1", 3)


def test_bands_of_all_firings_are_their_quantiles(tmp_path: Path) -> None:
    index = indexed(tmp_path, signed_dictionary())
    told = index.summary("resid.1")
    unit = int(told.count.argmax())
    bands, size = index.quantiles("resid.1", unit, n=4, each=3), np.abs(index.row("resid.1", unit).value)
    assert [band.count for band in bands] == [len(part) for part in np.array_split(size, 4)] or len(size) % 4
    assert sum(band.count for band in bands) == len(size) and all(band.exact for band in bands)
    assert all(above.low >= below.high for above, below in pairwise(bands))
    assert bands[0].high == size.max() and bands[-1].low == size.min()
    for band in bands:
        assert len({context.place - context.at for context in band.contexts}) == len(band.contexts) <= 3
        assert all(band.low <= abs(context.value) <= band.high for context in band.contexts)
    again = index.quantiles("resid.1", unit, n=4, each=3)
    assert [str(c) for band in again for c in band.contexts] == [str(c) for band in bands for c in band.contexts]


def test_bands_of_a_sample_are_near_the_quantiles(tmp_path: Path) -> None:
    whole = indexed(tmp_path / "all", signed_dictionary())
    small = indexed(tmp_path / "top", signed_dictionary(), top=1, sample=4, keep="top")
    unit = int(whole.summary("resid.1").count.argmax())
    exact, near = (index.quantiles("resid.1", unit, n=3) for index in (whole, small))
    assert len(exact) == len(near) == 3 and exact[0].exact and not near[0].exact
    assert sum(band.count for band in near) == pytest.approx(sum(band.count for band in exact))
    for one, other in zip(exact, near, strict=True):
        assert other.low == pytest.approx(one.low, rel=0.4) and other.contexts
    assert small.quantiles("resid.1", unit, n=1)[0].count == pytest.approx(whole.summary("resid.1").count[unit])


def test_bands_of_a_unit_that_seldom_fires(tmp_path: Path) -> None:
    index = indexed(tmp_path, words_dictionary())
    assert index.quantiles("embed", 0) == []
    assert len(index.quantiles("embed", VERY)) == min(10, int(index.summary("embed").count[VERY]))
    with pytest.raises(ValueError, match="n=0 bands with each=5 contexts cannot be"):
        index.quantiles("embed", VERY, n=0)


def test_what_is_drawn_is_drawn_by_its_weight() -> None:
    place, weight = np.arange(40_000), np.tile([1.0, 3.0], 20_000)
    some = drawn_from(place, weight, place, 4000, seed=1)
    assert np.mean(weight[some] == 3) == pytest.approx(0.75, abs=0.04) and len(set(some.tolist())) == 4000


def test_the_hashes_of_what_it_was_made_of(tmp_path: Path) -> None:
    dictionary = signed_dictionary()
    index = indexed(tmp_path, dictionary)
    said = index.provenance
    assert said["dictionaries"] == {"resid.1": dictionary.fingerprint}
    assert said["weights"] == model().body.fingerprint and len(said["text"]["hash"]) == 16
    assert index.tokenizer_name == "tiny llama" and "of tiny llama at resid.1" in repr(index)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda i: i.row("resid.1", 40), "there is no unit 40 at resid.1 .it has 40"),
        (lambda i: i.row("resid.2", 0), "resid.2 is not in .*; did you mean|resid.2 is not in"),
        (lambda i: unwrap(Index.nearest)(i, "resid.1", 0, "age"), "by decoder or cofiring; 'age' is neither"),
        (lambda i: i.document("resid.1", 99), "no document 99; there are 8"),
        (lambda i: i.at("resid.1", 10**6), "no token 1000000"),
        (lambda i: i.export("x", format="parket"), "did you mean|parquet"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, ask, says: str) -> None:
    index = indexed(tmp_path, signed_dictionary())
    with pytest.raises(ValueError, match=says):
        ask(index)


def test_a_half_index_says_how_to_go_on(tmp_path: Path) -> None:
    indexed(tmp_path)
    (tmp_path / "resid.1" / "0-40.safetensors").unlink()
    with pytest.raises(ValueError, match="rows of resid.1 that are not all there; make the index again with the same"):
        Index.load(tmp_path)


@pytest.mark.parametrize("name", ["start", "place", "value", "histogram", "jaccard"])
def test_a_shard_of_another_shape_is_named(tmp_path: Path, name: str) -> None:
    indexed(tmp_path, signed_dictionary())
    path = tmp_path / "resid.1" / "0-40.safetensors"
    tensors, about = read_tensors(path)
    write_tensors(path, {**tensors, name: tensors[name][:-1].clone()}, about)
    with pytest.raises(ValueError, match=r"resid.1/0-40.safetensors"):
        Index.load(tmp_path).row("resid.1", 3)


def test_a_chunk_of_another_length_is_named(tmp_path: Path) -> None:
    index = indexed(tmp_path, signed_dictionary())
    path = tmp_path / "firings" / "00000.safetensors"
    tensors, about = read_tensors(path)
    write_tensors(path, {**tensors, "resid.1/start": tensors["resid.1/start"][:-1].clone()}, about)
    with pytest.raises(ValueError, match=r"00000.safetensors"):
        check_chunk(path, index.about)


def test_reading_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    index = indexed(tmp_path)
    before = files(tmp_path)
    index.top("embed", KING)
    index.summary("resid.1")
    assert index.search("king") == [] and not index.labels.all()
    assert files(tmp_path) == before


def test_a_row_is_whole_where_all_firings_were_kept(tmp_path: Path) -> None:
    index = indexed(tmp_path / "all")
    assert index.whole("embed", KING).place.tolist() == index.row("embed", KING).place.tolist()
    top = indexed(tmp_path / "top", keep="top", top=1, sample=1)
    assert len(top.whole("embed", 0)) == 0  # it never fires
    kept, count = len(top.row("embed", VERY)), int(top.summary("embed").count[VERY])
    said = rf"top keeps {kept} of {count} firings of embed/{VERY}, so where it is silent is not known; .* keep='all'"
    with pytest.raises(ValueError, match=said):
        top.whole("embed", VERY)
    for by in ({}, {"by": "sentences", "asks": scripted(lambda question: "DESCRIPTION: words")}):
        with pytest.raises(ValueError, match=said):
            clew.explain(top, [f"embed/{VERY}"], **by)


def test_of_neurons_and_of_contexts_alone_nothing_is_whole(tmp_path: Path) -> None:
    neurons = indexed(tmp_path / "neurons", *model().neurons("neuron.1").dictionaries.values(), top=2, sample=1)
    with pytest.raises(ValueError, match=r"of neuron.1/3, so where it is silent is not known; .*by='effects'"):
        neurons.whole("neuron.1", 3)
    folder = indexed(tmp_path / "index", words_dictionary()).export(tmp_path / "np", format="neuronpedia")
    contexts = taken(folder, to=tmp_path / "taken")
    with pytest.raises(
        ValueError, match=r"an unknown number of firings \(the contexts of neuronpedia\) of .*keep='all'"
    ):
        contexts.whole(contexts.sites[0], KING)
