import numpy as np
import pytest

from clew.explain.explainers.rules import rules
from clew.explain.floors.random_unit import random_unit
from clew.firings import Fired, Held
from clew.readings.unseen import Case
from tests.explain.known import known, truth, unit, unseen


def explain(where, address, side):
    return rules(where.firings, [address], where.table)[address][0]


def chance(site="resid.2"):
    n, random = len(known().table.text), np.random.default_rng(0)
    places = [random.choice(n, size, replace=False) for size in (10, 150, 1500)]
    rows = [Fired(place, np.ones(len(place))) for place in places]
    return Held(known().firings.tokens, known().firings.documents, known().firings.words, {site: rows})


def test_a_unit_is_drawn_of_those_that_fire_as_often():
    address = unit("months")
    found = random_unit(Case(truth(address), unseen(), address), (), explain, random=chance())
    assert found.unit.startswith("resid.2/") and found.unseen.table is known().table and not found.explanation


def test_it_needs_firings_of_that_site():
    case = Case(truth(unit("months")), unseen(), unit("months"))
    with pytest.raises(ValueError, match="give them as random="):
        random_unit(case, (), explain)
    with pytest.raises(ValueError, match=r"resid.2 is not among them"):
        random_unit(case, (), explain, random=chance("resid.9"))
