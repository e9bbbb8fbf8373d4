import pytest

from clew.data.predicates import Rule
from clew.explain.scorers.fuzzing import fuzzing
from clew.readings.asking.prose import Prose
from tests.explain.known import truth, unit, unseen
from tests.explain.reader import garbled, perfect


@pytest.mark.parametrize("said", ["months", "the token ','", "tokens inside brackets"])
def test_the_truth_knows_which_tokens_are_marked_rightly(said):
    score, accuracy = fuzzing(truth(unit(said)), unseen(), unit(said))
    assert score.value > 0.93 and accuracy.value > 0.9 and score.low > 0.85


def test_no_rule_knows_nothing():
    score, accuracy = fuzzing(Rule(()), unseen(), unit("months"))
    assert score.value == accuracy.value == pytest.approx(0.5)


def test_a_unit_that_does_not_fire_has_no_score():
    assert str(fuzzing(Rule((), side=-1), unseen(), unit("months"))[0].value) == "nan"


def test_words_that_are_understood_score_as_the_rule_that_says_the_same():
    address = unit("months")
    asked = fuzzing(Prose("months", asks=perfect()), unseen(), address)
    executed = fuzzing(truth(address), unseen(), address)
    assert [row.measure for row in asked] == ["fuzzing AUROC", "fuzzing accuracy", "fuzzing unread"]
    assert (
        asked[1].value == pytest.approx(executed[1].value, abs=0.03) and asked[0].value > 0.93 and asked[2].value == 0
    )


def test_answers_that_cannot_be_read_are_half_right_and_are_told():
    score, accuracy, unread = fuzzing(Prose("months", asks=garbled()), unseen(), unit("months"))
    assert score.value == accuracy.value == 0.5 and unread.value == 1
