import numpy as np
import pytest

from clew.studies.atlas.contexts import Contexts, joined


def test_what_is_met_twice_counts_once():
    one, two = Contexts.of([[5, 6], [7, 8]], [1, 2]), Contexts.of([[7, 8], [5, 6], [5, 6]], [2, 1, 3])
    both = joined([one, two])
    assert [(both.prompt(i), int(both.answer[i])) for i in range(len(both))] == [([5, 6], 1), ([7, 8], 2), ([5, 6], 3)]
    assert both.counts["different"] == 3


def test_batches_pad_on_the_left_and_hold_each_once():
    given = Contexts.of([[5], [6, 7, 8], [9, 4]], [1, 2, 3])
    seen = {}
    for index, ids, real, answer in given.batches(4):
        for i, row, ok, a in zip(index, ids, real, answer, strict=True):
            seen[int(i)] = (row[ok].tolist(), int(a))
            assert bool(ok[-1])
    assert seen == {0: ([5], 1), 1: ([6, 7, 8], 2), 2: ([9, 4], 3)}
    assert [len(s["answers"]) for s in given.shards(2)] == [2, 1] and given.prompt(2) == [9, 4]
    with pytest.raises(ValueError, match="give as many of both, and none empty"):
        Contexts.of([[]], [1])


def test_a_file_gives_back_the_same_and_a_wrong_one_is_named(tmp_path):
    given = Contexts.of([[5], [6, 7, 8]], [1, 2])
    path = given.save(tmp_path / "c.safetensors", {"made_of": "x"})
    again = Contexts.load(path)
    assert again.hash == given.hash and again.counts == given.counts and np.isnan(again.loss).all()
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"c\.safetensors"):
        Contexts.load(path)
