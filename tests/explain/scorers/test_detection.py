import pytest

from clew.data.predicates import Clause, Predicate, Rule
from clew.explain.scorers.detection import detection
from tests.explain.known import truth, unit, unseen

MONTHS = "months"


def rows(rule, address):
    return {(row.measure.removeprefix("detection "), row.of): row for row in detection(rule, unseen(), address)}


def test_the_truth_tells_windows_apart_but_for_what_was_missed_and_strays():
    found = rows(truth(unit(MONTHS)), unit(MONTHS))
    assert found["AUROC", "all"].value > 0.9 and found["accuracy", "all"].low > 0.85
    assert found["AUROC", "hard"].value > 0.85 and found["AUROC", "all"].examples > 100


def test_another_units_meaning_and_none_tell_nothing():
    assert rows(truth(unit("modal verbs")), unit(MONTHS))["AUROC", "all"].value < 0.65
    assert rows(Rule(()), unit(MONTHS))["AUROC", "all"].value == pytest.approx(0.5)


def test_hard_windows_are_harder_for_what_is_right_only_by_its_tokens():
    the = Rule((Clause((Predicate("word", ("the",)),), 1.0),))
    found = rows(the, unit("'the' after prepositions"))
    assert found["AUROC", "hard"].value <= found["AUROC", "random"].value + 0.05
    assert found["accuracy", "all"].value < 0.75


def test_a_unit_that_does_not_fire_has_no_score():
    assert str(rows(Rule((), side=-1), unit(MONTHS))["AUROC", "all"].value) == "nan"
