import pytest

from clew.data.predicates import Rule
from clew.explain.scorers.fuzzing import fuzzing
from tests.explain.known import truth, unit, unseen


@pytest.mark.parametrize("said", ["months", "the token ','", "tokens inside brackets"])
def test_the_truth_knows_which_tokens_are_marked_rightly(said):
    score, accuracy = fuzzing(truth(unit(said)), unseen(), unit(said))
    assert score.value > 0.93 and accuracy.value > 0.9 and score.low > 0.85


def test_no_rule_knows_nothing():
    score, accuracy = fuzzing(Rule(()), unseen(), unit("months"))
    assert score.value == accuracy.value == pytest.approx(0.5)


def test_a_unit_that_does_not_fire_has_no_score():
    assert str(fuzzing(Rule((), side=-1), unseen(), unit("months"))[0].value) == "nan"
