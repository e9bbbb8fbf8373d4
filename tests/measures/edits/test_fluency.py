"""Fluency, by hand: a table of bigrams that goes round, and one that stands still."""

import math

import pytest

from clew import EditDidNotFire, Where
from clew.data.facts.facts import Facts
from clew.measures.edits.fluency import fluency, ngram_entropy, repetition
from tests.measures.bigram_model import ID, WORDS, bigram_model, push, pushable, says, text

ROUND = {"is": {"in": 5.0}, "in": {"the": 5.0}, "the": {"big": 5.0}, "big": {"city": 5.0}, "city": {"is": 5.0}}
FACTS = Facts.one("the capital of {} is", "France", "Rome")
STUCK = says("in", "in", 9.0)
N = len(WORDS)


def value(report, measure, of):
    (row,) = [r for r in report.rows if (r.measure, r.of) == (measure, of)]
    return row.value


def test_repetition_by_hand():
    assert repetition([7, 7, 7, 7]) == 0.5 and repetition([1, 2, 3, 4]) == 0
    assert repetition([1, 2, 3, 1, 2, 3]) == 0.25
    assert math.isnan(repetition([1, 2]))


def test_entropy_by_hand():
    assert ngram_entropy([7, 7, 7, 7]) == 0
    assert ngram_entropy([1, 2, 3, 4]) == pytest.approx((2 / 3 * math.log2(3) + 4 / 3 * 1) / 2)
    assert math.isnan(ngram_entropy([1, 2]))


def test_a_model_that_got_stuck_by_hand():
    report = fluency(bigram_model(ROUND), FACTS, STUCK, length=6)
    assert value(report, "repetition", "unedited") == 0  # in the big city is in: four different 3-grams
    assert value(report, "repetition", "edited") == 0.75
    assert value(report, "n-gram entropy", "edited") == 0
    likely = math.exp(5) / (math.exp(5) + N - 1)
    assert value(report, "perplexity", "unedited") == pytest.approx(1 / likely)
    stuck = (math.log(likely) + 5 * (math.log(likely) - 5)) / 6
    assert value(report, "perplexity", "edited") == pytest.approx(math.exp(-stuck))


def test_a_text_ends_before_its_end_token():
    model = bigram_model({"is": {"in": 5.0}, "in": {"<eos>": 5.0}})
    report = fluency(model, FACTS, STUCK, length=5, controls=0)
    assert value(report, "length", "unedited") == 1 and value(report, "length", "edited") == 5
    assert math.isnan(value(report, "repetition", "unedited"))


def test_the_receipts_say_where_it_was_at_work():
    model = pushable(bigram_model(ROUND), "Rome")
    report = fluency(model, FACTS, push("Rome", 1.0), length=4)
    assert any(note.startswith("edited: add at final: 8 positions in 4 calls") for note in report.notes)


def test_an_edit_that_never_fires_is_an_error():
    model = pushable(bigram_model(ROUND), "Rome")
    with pytest.raises(EditDidNotFire):
        fluency(model, FACTS, push("Rome", 1.0, Where("token", (ID["Oslo"],))), length=4)


def test_several_prompts_of_unequal_length_stand_together():
    model = bigram_model(ROUND)
    one, two = (fluency(model, text(model, t), STUCK, length=6) for t in ("city is", "in the"))
    both = fluency(model, text(model, "city is", "in the"), STUCK, length=6)
    for measure in ("repetition", "n-gram entropy", "length"):
        alone = [value(r, measure, "edited") for r in (one, two)]
        assert value(both, measure, "edited") == pytest.approx(sum(alone) / 2)


def test_counts_below_one_are_refused():
    with pytest.raises(ValueError, match="length=0"):
        fluency(bigram_model(ROUND), FACTS, STUCK, length=0)
