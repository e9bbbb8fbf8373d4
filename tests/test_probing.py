"""A probe as a value: its score by hand, as a metric, on disk to the bit, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from clew.data.behaviours.pairs import Batch, Pair
from clew.models.trace import Trace
from clew.probing import Pool, Probe
from clew.sites import Site

W = torch.tensor([10.0, 1.0])
X = torch.tensor([[[5.0, 5.0], [1.0, 2.0], [3.0, 4.0]]])
R0 = Site("resid", 0)
PROBE = Probe("resid.0", W, 0.5, classes=("no", "yes"), pool=Pool("mean", skip=1), fitted={"seed": 3, "by": ["lda"]})


def read(probe: Probe, *cases: str) -> list[float]:
    """The probe as a metric of a run that holds X at resid.0, once for each case."""
    n = len(cases)
    ones = torch.ones(n, 3, dtype=torch.long)
    batch = Batch(ones, None, ones, None, tuple(range(n)), tuple(Pair("a", None, ("b",), case=c) for c in cases))
    return probe(Trace(ones, ones.bool(), values={R0: X.expand(n, 3, 2)}), batch).tolist()


def test_its_score_is_linear() -> None:
    assert Probe("resid.0", W, 0.5)(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist() == [10.5, 1.5]


def test_half_precision_is_read_in_float32() -> None:
    x = torch.tensor([256.0, -256.0], dtype=torch.bfloat16)
    score = Probe("resid.0", torch.tensor([1.0, 1.0]), 0.001)(x)
    assert score.dtype == torch.float32 and score.item() == pytest.approx(0.001)


def test_a_text_is_pooled_as_the_probe_says() -> None:
    assert read(replace(PROBE, classes=None, pool=Pool()), "") == [34.5]
    assert read(replace(PROBE, classes=None), "") == [20 + 3 + 0.5]
    assert read(replace(PROBE, classes=None, pool=Pool("mean")), "") == pytest.approx([30 + 11 / 3 + 0.5])
    assert torch.equal(Pool("every")(X), X)


def test_with_classes_it_leans_to_the_class_of_each_text() -> None:
    assert read(PROBE, "yes", "no") == [23.5, -23.5] and PROBE.reads == (R0,)


def test_its_name_tells_what_it_computes() -> None:
    same, other = replace(PROBE, weight=W.clone(), fitted={}), replace(PROBE, bias=0.25)
    assert repr(PROBE) == repr(same) != repr(other) and repr(PROBE).startswith("probe(resid.0, yes or no, ")
    assert repr(replace(PROBE, pool=Pool())) != repr(PROBE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_it_is_saved_to_the_bit(tmp_path, dtype: torch.dtype) -> None:
    weight = torch.randn(7, generator=torch.Generator().manual_seed(0)).to(dtype)
    probe = replace(PROBE, weight=weight, bias=0.1 + 0.2)
    again = Probe.load(probe.save(tmp_path / "probe.safetensors"))
    assert torch.equal(again.weight, weight) and again.weight.dtype == dtype
    assert again.record == probe.record and again.bias == probe.bias and repr(again) == repr(probe)
    bare = Probe.load(Probe("embed", W).save(tmp_path / "bare.safetensors"))
    assert (bare.classes, bare.pool, bare.fitted) == (None, Pool(), {})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Probe("resid.0", torch.ones(2, 2)), r"a vector of floats; \[2, 2\]"),
        (lambda: Probe("resid.0", torch.ones(2, dtype=torch.long)), "of torch.int64 was given"),
        (lambda: Probe("resid.0", torch.tensor([1.0, torch.nan])), "not finite"),
        (lambda: Probe("resid.0", W, float("inf")), "not finite"),
        (lambda: Probe("rezid.0", W), "'rezid' is not a part"),
        (lambda: Probe("resid.0", W, classes=("a", "a")), "tells two classes apart"),
        (lambda: Pool("last", skip=1), "only a mean"),
        (lambda: Pool("mean", skip=3)(X), "has none after the first 3"),
        (lambda: read(PROBE, "maybe"), "labelled 'maybe'; this probe knows no and yes"),
        (lambda: read(replace(PROBE, pool=Pool("every")), "yes"), "one number for each text"),
        (lambda: Probe.load("nowhere.safetensors"), "there is no file nowhere"),
    ],
)
def test_what_is_no_probe_is_refused(make, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


GOOD = {"format": "clew probe", "version": 1, **PROBE.record}


@pytest.mark.parametrize(
    ("head", "weight", "says"),
    [
        (GOOD, torch.ones(2, 2), "vector of floats"),
        (GOOD, torch.tensor([torch.inf]), "not finite"),
        (GOOD | {"bias": "nan"}, W, "not finite"),
        (GOOD | {"bias": 0.5}, W, "not a whole probe"),
        (GOOD | {"site": "rezid.3"}, W, "'rezid' is not a part"),
        (GOOD | {"pool": {"tokens": "all", "skip": 0}}, W, "not a whole probe"),
        (GOOD | {"classes": ["one"]}, W, "not a whole probe"),
        ({k: v for k, v in GOOD.items() if k != "pool"}, W, "'pool'"),
        (GOOD | {"version": 9}, W, "holds clew probe, version 9"),
        ({}, W, "holds no probe of clew"),
        ([], W, "not a whole probe"),
    ],
)
def test_a_file_that_is_no_whole_probe_is_named(tmp_path, head, weight: torch.Tensor, says: str) -> None:
    save_file({"weight": weight}, tmp_path / "x.safetensors", {"clew": json.dumps(head)})
    with pytest.raises(ValueError, match=says) as told:
        Probe.load(tmp_path / "x.safetensors")
    assert "x.safetensors" in str(told.value)


def test_a_file_cut_short_is_named(tmp_path) -> None:
    (tmp_path / "x.safetensors").write_bytes(PROBE.save(tmp_path / "whole.safetensors").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"x\.safetensors is not a whole"):
        Probe.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h, t: t["weight"].fill_(torch.nan), "values of weight in it are not finite"),
        (
            lambda h, t: t.update(weight=torch.ones(4, dtype=torch.int64)),
            "weight in it is of torch.int64; floats are due",
        ),
        (lambda h, t: t.update(more=torch.ones(1)), "its list of tensors also holds more"),
        (lambda h, t: h.update(classes=["a", "b", "c"]), r"has the classes \('a', 'b', 'c'\); a probe tells two apart"),
        (lambda h, t: h.update(classes="ab"), "classes is 'ab'; a list is due"),
        (lambda h, t: h.update(bias="nan"), "holds values that are not finite"),
        (lambda h, t: h.update(pool={"tokens": "last"}), "pool has no 'skip'"),
        (lambda h, t: h.pop("fitted"), "its head has no 'fitted'"),
        (lambda h, t: h.update(more=1), "its head has 'more', which is none of"),
        (lambda h, t: h.update(version=True), "version True; this clew reads"),
    ],
)
def test_a_probe_that_is_not_whole_is_refused(tmp_path, change, said):
    path = Probe("resid.3", torch.ones(4), 0.5, classes=("bad", "good")).save(tmp_path / "p.safetensors")
    with safe_open(path, "pt") as file:
        tensors, head = {"weight": file.get_tensor("weight").clone()}, json.loads(file.metadata()["clew"])
    change(head, tensors)
    save_file(tensors, path, {"clew": json.dumps(head)})
    with pytest.raises(ValueError, match=rf"p\.safetensors.*{said}"):
        Probe.load(path)
