import shutil
from dataclasses import replace

import numpy as np
import pytest

from clew.scale.workers import Workers
from clew.studies.atlas import build as built
from clew.studies.atlas.atlas import Atlas
from clew.studies.atlas.options import Finding, Wiring
from tests.studies.atlas.toys import FINDING, GROUPING, WIRING, corpus, made, small, view


def test_the_capitals_are_found_each_with_the_unit_that_carries_it():
    atlas = small()
    assert len(atlas) == 8 and all(one.circuit for one in atlas) and atlas.aside == ()
    row = atlas.report()["faithfulness"]
    assert row.value > 0.9 and row.of == "mean"
    assert {e.source for one in atlas for e in one.examples} == {0, 1}
    assert Atlas.load(atlas.folder).to_json() == atlas.to_json()
    assert not (atlas.folder / "work" / "contexts").exists() and (atlas.folder / "work" / "circuits").exists()


def test_a_second_call_runs_no_model(tmp_path, monkeypatch):
    first, want = made(tmp_path), small()
    monkeypatch.setattr(type(view()), "run", lambda *_, **__: pytest.fail("the model was run"))
    assert made(tmp_path).to_json() == first.to_json() == want.to_json()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (
            {"finding": replace(FINDING, loss=1.0)},
            r"contexts\.safetensors was made with loss 2.0 \(here 1.0\); give another",
        ),
        (
            {"grouping": replace(GROUPING, vectors="activations")},
            r"vectors\.safetensors was made with vectors features \(here",
        ),
        ({"grouping": replace(GROUPING, k=(3,))}, r"clusters\.safetensors was made with k \[8\] \(here \[3\]\)"),
        ({"wiring": Wiring(nodes=6)}, r"circuits holds other work: its nodes is 5, and here it is 6"),
    ],
)
def test_a_folder_of_other_work_is_refused_by_what_is_other(how, said, tmp_path):
    shutil.copytree(small().folder, tmp_path, dirs_exist_ok=True)
    with pytest.raises(ValueError, match=said):
        made(tmp_path, **how)


def test_what_is_stopped_between_stages_goes_on(tmp_path, monkeypatch):
    """Interrupted in the middle of the circuits: what there is stays, and the rest is made."""
    calls, real = [], built.circuit_of

    def stops(view, item, **how):
        calls.append(item["cluster"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(view, item, **how)

    stops.__module__, stops.__qualname__ = real.__module__, real.__qualname__
    monkeypatch.setattr(built, "circuit_of", stops)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path)
    monkeypatch.setattr(built, "contexts_in", lambda *_, **__: pytest.fail("contexts were found anew"))
    assert made(tmp_path).to_json() == small().to_json()
    assert calls == [0, 1, 2, 2, 3, 4, 5, 6, 7]


def test_a_cluster_that_fails_is_set_aside_and_the_others_go_on(tmp_path, monkeypatch):
    real = built.circuit_of

    def fails(view, item, **how):
        if item["cluster"] == 1:
            raise ArithmeticError("one is poison")
        return real(view, item, **how)

    monkeypatch.setattr(built, "circuit_of", fails)
    atlas = made(tmp_path)
    assert [one.id for one in atlas if one.circuit is None] == [
        1
    ] and "cluster 1: ArithmeticError: one is poison" in atlas.aside


def test_the_same_comes_of_processes(tmp_path):
    for name in ("contexts", "vectors", "clusters"):
        shutil.copy(small().folder / f"{name}.safetensors", tmp_path)
    atlas = made(tmp_path, workers=Workers("pool", 2, 1), start=view)
    assert atlas.to_json() == small().to_json()


def test_workers_elsewhere_must_open_the_model_and_a_text_must_have_room():
    with pytest.raises(ValueError, match="workers in other processes need start="):
        made(small().folder, workers=Workers("pool"))


def test_what_is_misspelt_is_said_at_once(tmp_path):
    for how, near in (
        ({"grouping": replace(GROUPING, vectors="feature")}, "features"),
        ({"wiring": Wiring("atribution_patching")}, "attribution"),
    ):
        with pytest.raises(ValueError, match=near):
            made(tmp_path, **how)
    assert not list(tmp_path.iterdir())


def test_a_text_without_such_a_place_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no place of this text is left by the rules"):
        made(tmp_path, finding=Finding(loss=1e-9, length=8, window=12))


def test_every_option_decides():
    one = built.Builder(view(), corpus(), small().folder, FINDING, GROUPING, WIRING)
    other = built.Builder(view(), corpus(), small().folder, FINDING, GROUPING, Wiring(nodes=6))
    assert (
        one._decides["clusters"] == other._decides["clusters"]
        and one._decides["circuits"] != other._decides["circuits"]
    )
    assert isinstance(one.vectors, np.ndarray)
