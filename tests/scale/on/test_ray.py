"""Actors of Ray: a real cluster of two, started here once."""

import importlib

import pytest

from clew.scale.manifest import Manifest
from clew.scale.map import map
from clew.scale.work import Task
from tests.scale import toys

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


def test_results_are_those_of_one_process(cluster, tmp_path):
    here = map(toys.sums_held, range(6), start=toys.opened, threads=1)
    there = map(toys.sums_held, range(6), start=toys.opened, threads=1, on="ray", workers=2, folder=tmp_path / "w")
    assert there == here


def test_an_item_that_kills_its_actor_is_set_aside(cluster, tmp_path):
    made = map(toys.deadly, range(5), on="ray", workers=2, tries=2, folder=tmp_path / "w")
    assert list(made) == [0, 1, 2, 4] and [one.item for one in made.aside] == [3]
    assert Manifest(tmp_path / "w").counts()["taken"] == 0


def test_why_actors_cannot_start_is_said(cluster):
    with pytest.raises(LookupError, match="there is no such model"):
        map(toys.with_held, [1], start=toys.broken, on="ray", workers=1)


def test_without_the_extra_it_says_which(monkeypatch, tmp_path):
    task, found = Task(toys.twice, None, Manifest(tmp_path)), importlib.import_module("clew.scale.on.ray")

    def missing(name):
        raise ImportError("No module named 'ray'")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'clew\[ray\]'"):
        found.ray(task, None, lambda: None)
