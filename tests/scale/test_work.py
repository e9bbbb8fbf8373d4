"""What a worker does with an item that it cannot finish."""

import errno
import time

import pytest

from clew.scale import work
from clew.scale.manifest import Manifest
from clew.scale.work import Task


def begun(folder, items=(1, 2, 3), **options) -> Manifest:
    manifest = Manifest(folder / "w", **options)
    manifest.begin({}, items)
    return manifest


def test_an_interrupt_gives_back_what_was_begun(tmp_path):
    def stops(item):
        if item == 2:
            raise KeyboardInterrupt
        return item

    manifest = begun(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        work.work(Task(stops, None, manifest))
    assert manifest.counts() == {"waiting": 2, "taken": 0, "done": 1, "aside": 0}
    assert manifest.begun() == 1


def test_only_a_full_disk_stops_the_work(tmp_path):
    def fails(item):
        raise OSError(errno.EACCES if item == 1 else errno.ENOSPC, "no")

    manifest = begun(tmp_path, tries=1)
    with pytest.raises(OSError, match="no"):
        work.work(Task(fails, None, manifest))
    assert manifest.counts() == {"waiting": 2, "taken": 0, "done": 0, "aside": 1}


def test_what_takes_longer_than_its_lease_is_renewed(tmp_path):
    manifest = begun(tmp_path, items=[1], lease=0.2)
    rivals = []

    def slow(item):
        for _ in range(10):
            time.sleep(0.08)
            rivals.append(manifest.take("elsewhere 1 1"))
        return item

    work.work(Task(slow, None, manifest))
    assert rivals == [None] * 10
    assert manifest.counts()["done"] == 1 and manifest.begun() == 1


def test_one_computes_with_as_many_threads_as_asked(tmp_path):
    import torch

    before = torch.get_num_threads()
    manifest = begun(tmp_path, items=[1])
    work.work(Task(lambda item: torch.get_num_threads(), None, manifest, threads=1))
    assert [result for _, result in manifest.results(manifest.begin({}, [1]))] == [1]
    assert torch.get_num_threads() == before
