"""Items that are taken, done once, or set aside."""

import time

import pytest

from clew.scale.manifest import Manifest
from clew.scale.map import map
from clew.scale.who import me
from tests.scale import toys

ELSEWHERE = "elsewhere 1 1"
"""A process of another machine, of which one knows nothing but its leases."""


def begun(folder, items=(1, 2), **options) -> Manifest:
    manifest = Manifest(folder / "w", **options)
    manifest.begin({}, items)
    return manifest


def test_an_item_is_taken_by_one(tmp_path):
    manifest = begun(tmp_path)
    assert [manifest.take(me()).item, manifest.take(ELSEWHERE).item] == [1, 2]
    assert manifest.take(me()) is None


def test_a_lease_that_is_over_is_anyones_and_who_had_it_comes_too_late(tmp_path):
    manifest = begun(tmp_path, items=[1], lease=0.05)
    late = manifest.take(ELSEWHERE)
    time.sleep(0.1)
    taken = manifest.take(me())
    assert taken == late
    assert not manifest.done(late, ELSEWHERE, "late", 1.0)
    assert manifest.done(taken, me(), "first", 1.0) and not manifest.done(taken, me(), "again", 1.0)
    assert list(manifest.results([taken.key])) == [(taken.key, "first")]


def test_an_item_whose_workers_fall_silent_is_set_aside(tmp_path):
    manifest = begun(tmp_path, items=[1], lease=0.01, tries=2)
    for _ in range(2):
        assert manifest.take(ELSEWHERE) is not None
        time.sleep(0.03)
    assert manifest.take(ELSEWHERE) is None
    assert [one.item for one in manifest.aside()] == [1] and "ended without a word" in manifest.aside()[0].error


def test_what_was_set_aside_is_tried_again_when_one_says_so(tmp_path):
    manifest = begun(tmp_path, items=[1], tries=1)
    assert manifest.failed(manifest.take(me()), me(), "no")
    manifest.begin({}, [1])
    assert manifest.counts()["aside"] == 1
    manifest.begin({}, [1], retry=True)
    assert manifest.counts()["waiting"] == 1


def test_what_is_given_back_was_not_tried(tmp_path):
    manifest = begun(tmp_path, items=[1], tries=1)
    for _ in range(3):
        assert manifest.release(manifest.take(me()), me())
    assert manifest.begun() == 0 and manifest.counts()["waiting"] == 1


def test_a_result_that_was_damaged_is_made_again(tmp_path):
    map(toys.twice, [1, 2], folder=tmp_path / "w")
    (one, other) = sorted((tmp_path / "w" / "results").rglob("*.json"))
    one.write_text("{}")
    manifest = Manifest(tmp_path / "w")
    with pytest.raises(ValueError, match=r"json is damaged"):
        list(manifest.results(manifest.begin({"do": "tests.scale.toys.twice"}, [1, 2])))
    other.unlink()
    assert list(map(toys.twice, [1, 2], folder=tmp_path / "w")) == [{"twice": 2}, {"twice": 4}]


def test_items_keep_their_order_and_what_they_are(tmp_path):
    items = [{"text": "naïve \u2028", "n": 1.5, "deep": [None, True]}, "b", 3]
    manifest = begun(tmp_path, items=items)
    assert [manifest.take(me()).item for _ in items] == items
