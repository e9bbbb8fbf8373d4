from dataclasses import replace

import numpy as np

from clew.explain.floors.shuffled import shuffled
from clew.explain.scorers.detection import detection
from clew.explain.scorers.simulation import simulation
from clew.firings import Fired, Held
from clew.readings.unseen import Case, Unseen, scored
from tests.explain.known import known, truth, unit, unseen


def case(said):
    return Case(truth(unit(said)), unseen(), unit(said))


def test_the_explanation_is_anothers_and_the_unit_stays():
    one, others = case("months"), [case(said) for said in ("months", "countries", "modal verbs")]
    found = shuffled(one, others, None)
    assert found.unit == one.unit and str(found.explanation) in ("countries", "modal verbs")
    assert shuffled(one, others, None, seed=0).explanation == found.explanation


def test_there_is_none_where_no_other_is():
    assert shuffled(case("months"), [case("months")], None) is None


def test_it_is_of_the_same_side_so_that_every_floor_is_a_number():
    names = ("months", "countries", "modal verbs")
    held, turned = known().firings, [int(unit(said).split("/")[1]) for said in names[:2]]
    rows = {
        str(site): [held.row(site, i) for i in range(held.units(site))] for site in held.sites
    }  # two of them fire below 0
    for i in turned:
        row = rows["resid.2"][i]
        rows["resid.2"][i] = Fired(row.place, -row.value)
    where = Unseen(Held(held.tokens, held.documents, held.words, rows), known().table)
    sides = [replace(truth(unit(said)), side=-1 if said in names[:2] else 1) for said in names]
    cases = [Case(rule, where, unit(said)) for rule, said in zip(sides, names, strict=True)]
    for one, other in (cases[:2], cases[1::-1]):
        found = shuffled(one, cases, None)
        assert found.explanation is other.explanation
        assert all(np.isfinite(row.value) for row in scored(found, [detection, simulation]) if row.of == "all")
    assert shuffled(cases[2], cases, None) is None
