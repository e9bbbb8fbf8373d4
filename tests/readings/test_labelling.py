"""What is explained is told unit by unit, with scores and floors; how often the explainer is asked."""

import pytest

from clew.data.predicates import Clause, Predicate, Rule
from clew.readings.index.resumed import Resumed
from clew.readings.labelling import Labelling
from clew.readings.unseen import Case
from clew.report import Row
from tests.explain.known import known, unit, unseen

NOTHING_KEPT = Resumed(None, known().firings, {}, {})


def labelling(floors=(), random=None, scorers=lambda usual: [one]):
    asked = []

    def word(firings, units, table=None, *, said="may"):
        asked.extend(units)
        return {unit: (Rule((Clause((Predicate("word", (said,)),), 1.0),)),) for unit in units}

    return asked, Labelling(word, scorers, floors, {"said": "june"}, unseen(), random)


def one(explanation, unseen, unit):
    return (Row("one", 1.0, 1.0, 1.0, "all"),)


def test_all_are_explained_before_the_first_is_judged_and_others_are_seen_by_floors():
    seen = []

    def floor(case, others, explain):
        seen.append(sorted(other.unit for other in others))

    asked, how = labelling([floor])
    units = [unit("months"), known().address(1)]
    said = how.labels(units, NOTHING_KEPT)
    assert asked == units and seen == [sorted(units)] * 2
    assert [label.text for label in said[units[0]]] == ["'june'"] and said[units[0]][0].scores[0].measure == "one"


def test_a_unit_of_the_random_dictionary_is_explained_once_however_many_it_lies_beneath():
    beneath = known().address(2)

    def floor(case, others, explain, *, random):
        return Case(explain(unseen(), beneath, case.explanation.side), unseen(), beneath)

    asked, how = labelling([floor], random=known().firings)
    units = [unit("months"), known().address(1)]
    said = how.labels(units, NOTHING_KEPT)
    assert asked == [*units, beneath]
    assert {(row.of, row.value) for row in said[units[1]][0].scores} == {("all", 1), ("floor", 1), ("above floor", 0)}


def test_scorers_are_told_what_an_explanation_of_its_kind_is_usually_judged_by():
    told = []
    _, how = labelling(scorers=lambda usual: told.append(usual) or [])
    how.labels([unit("months")], NOTHING_KEPT)
    assert told == [("detection", "simulation")]


def test_an_option_that_the_explainer_lacks_is_said_at_once():
    with pytest.raises(ValueError, match="has no option 'months'"):
        Labelling(lambda firings, units, table: {}, lambda usual: [], (), {"months": 1}, unseen())


def test_progress_counts_explaining_and_judging_as_halves():
    told = []
    _, how = labelling()
    how.labels([unit("months")], NOTHING_KEPT, lambda done, of, numbers=None: told.append(done / of))
    assert told[-1] == 1 and 0.5 in told and told == sorted(told)
