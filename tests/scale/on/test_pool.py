"""Workers that are processes of this machine."""

import pytest

from clew.scale.map import map
from tests.scale import toys


def test_results_are_those_of_one_process():
    here = map(toys.sums_held, range(5), start=toys.opened, threads=1)
    assert map(toys.sums_held, range(5), start=toys.opened, threads=1, on="pool", workers=2) == here


def test_an_item_that_kills_whoever_works_on_it_is_set_aside():
    made = map(toys.deadly, range(5), on="pool", workers=2, tries=2)
    assert list(made) == [0, 1, 2, 4]
    assert [one.item for one in made.aside] == [3] and "killed, or out of memory" in made.aside[0].error


def test_why_workers_cannot_start_is_said():
    with pytest.raises(RuntimeError, match="there is no such model"):
        map(toys.with_held, [1], start=toys.broken, on="pool", workers=1)


def test_what_cannot_be_sent_is_refused():
    with pytest.raises(ValueError, match="give functions that stand in a module"):
        map(lambda item: item, [1], on="pool")
