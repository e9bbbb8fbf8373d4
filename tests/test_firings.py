import numpy as np

from clew.firings import Fired, Firings, Held
from clew.sites import Site

SITE = Site("resid", 1)


def fired(*pairs):
    return Fired(np.array([p for p, _ in pairs], np.int64), np.array([v for _, v in pairs], np.float32))


def held():
    rows = [fired((0, 1.0), (2, -3.0)), fired((2, 1.0), (0, 0.5)), fired((3, 1.0))]
    return Held(np.arange(4), [0, 4], dict(enumerate("abcd")), {"resid.1": rows})


def test_it_is_what_explainers_read():
    assert isinstance(held(), Firings)


def test_a_row_begins_with_the_largest_size():
    assert held().row(SITE, 0).place.tolist() == [2, 0] and held().row(SITE, 0).value.tolist() == [-3, 1]


def test_what_fires_at_a_token():
    here = held().at(SITE, 2)
    assert here.unit.tolist() == [0, 1] and here.value.tolist() == [-3, 1]
    assert held().at(SITE, 1).unit.tolist() == []


def test_the_nearest_fire_at_the_same_places():
    assert held().nearest(SITE, 0) == [(1, 1.0)] and held().nearest(SITE, 2) == []


def test_nothing_fires_at_a_site_without_units():
    none = Held(np.arange(2), [0, 2], {}, {"resid.1": []})
    assert none.units(SITE) == 0 and none.at(SITE, 0).unit.tolist() == []


def test_all_that_is_held_is_whole():
    assert held().whole(SITE, 0).place.tolist() == held().row(SITE, 0).place.tolist()
