import numpy as np

from clew.explain.explainers.effects import Effects
from clew.explain.explainers.rules import rules
from clew.explain.floors.permuted import permuted
from clew.explain.scorers.simulation import simulation
from clew.readings.unseen import Case
from tests.explain import doing
from tests.explain.known import known, truth, unit, unseen


def explain(where, address, side):
    return rules(where.firings, [address], where.table)[address][0]


def test_the_same_values_stand_at_other_tokens_and_nothing_is_found_there():
    address = unit("months")
    found = permuted(Case(truth(address), unseen(), address), (), explain)
    site = known().firings.sites[1]
    mine, moved = (f.row(site, int(address.split("/")[1])) for f in (known().firings, found.unseen.firings))
    assert (moved.value == mine.value).all() and len(np.intersect1d(mine.place, moved.place)) < len(mine.place) / 4
    assert not found.explanation and simulation(found.explanation, found.unseen, found.unit)[0].value == 0


def test_what_a_unit_does_is_the_same_wherever_it_fires():
    assert permuted(Case(Effects({7: " king"}), doing.unseen(), doing.UNITS[0]), (), explain) is None
