import pytest

from clew.data.predicates import Rule
from clew.explain.scorers.surprisal import surprisal
from clew.readings.asking.answer import Refused
from clew.readings.asking.asks import Asks
from clew.readings.asking.kept import Remembered
from clew.readings.asking.local import Local
from clew.readings.asking.prose import Prose
from tests.explain.known import truth, unit, unseen
from tests.explain.reader import perfect
from tests.models.tiny import model_of
from tests.readings.asking.scripted import Scripted, scripted

MONTHS = "months"


def value(explanation, asks, **options):
    (row,) = surprisal(explanation, unseen(), unit(MONTHS), asks=asks, **options)
    assert (row.measure, row.of) == ("surprisal AUROC", "all")
    return row


def test_texts_that_the_truth_makes_likelier_are_those_in_which_the_unit_fires():
    row = value(Prose(MONTHS, asks=perfect()), perfect())
    assert row.value > 0.9 and row.low > 0.8 and row.examples > 100
    assert value(truth(unit(MONTHS)), perfect()).value == row.value  # a rule, in its words


def test_another_meaning_and_none_tell_little():
    assert value(truth(unit("modal verbs")), perfect()).value < 0.65
    assert value(Rule(()), perfect()).value == 0.5


def test_texts_that_are_likely_in_any_case_are_no_evidence():
    asks = scripted(lambda q: "", log_p=lambda q: -float(len(q.text)))
    assert value(truth(unit(MONTHS)), asks).value == 0.5


def test_each_text_is_judged_twice_and_the_neutral_ones_once_for_all_explanations():
    asks = perfect()
    row = value(truth(unit(MONTHS)), asks)
    assert asks.count.requests == 2 * row.examples
    value(truth(unit("modal verbs")), asks)
    assert asks.count.requests == 3 * row.examples and asks.count.cached == row.examples


def test_a_model_in_this_process_judges():
    row = value(truth(unit(MONTHS)), Asks(Local(model_of()), Remembered()), windows=4)
    assert 0 <= row.value <= 1


def test_one_that_does_not_tell_is_named():
    def refuse(question):
        raise Refused("small does not tell log p")

    with pytest.raises(Refused, match="does not tell"):
        value(truth(unit(MONTHS)), Asks(Scripted(lambda q: "", refuse), Remembered()))
