"""Success, by hand: in a model of bigrams every probability is a table's."""

import math

import pytest
import torch

from clew import Add, Gate, Stack, Where, verify
from clew.data.facts.facts import Fact, Facts
from clew.measures.edits.success import success
from clew.models import EditDidNotFire
from clew.probing import Probe
from tests.measures.bigram_model import ID, WORDS, bigram_model, push, pushable, says

TABLE = {"is": {"Paris": 3.0, "Rome": 1.0}, "was": {"Madrid": 4.0}, "Paris": {"big": 2.0}}
FACT = Fact(
    "the capital of {} is", "France", "Rome", "Paris", paraphrases=("France is", "in France was"),
    neighbours=(("the capital of Spain was", "Madrid"), ("Spain is", "Paris")),
)  # fmt: skip
FACTS = Facts("one", (FACT,))
N = len(WORDS)


def values(report, measure):
    return {row.of: row.value for row in report.rows if row.measure == measure}


def test_an_edit_by_hand():
    report = success(bigram_model(TABLE), FACTS, says("Rome", "is", 40.0))
    assert values(report, "efficacy") == {"before": 0, "after": 1, "random": 0}
    assert values(report, "greedy") == {"before": 0, "after": 1, "random": 0}
    assert report["p(target)"].value == pytest.approx(math.e / (math.e**3 + math.e + N - 2))
    assert values(report, "generalisation")["after"] == 0.5  # the one that ends in "is"; after "was" they are equal
    assert values(report, "specificity")["before"] == 1 and values(report, "specificity")["after"] == 0.5
    assert values(report, "right at neighbours") == {"before": 1, "after": 0.5, "random": 1}
    assert values(report, "bleed")["after"] == pytest.approx(0.5 * (1 + 1 / (math.e**4 + N - 1)))
    assert values(report, "score")["after"] == pytest.approx(3 / (1 + 2 + 2))


def test_more_likely_is_by_the_mean_log_p_and_p_is_the_product():
    model = bigram_model({"is": {"Rome": 1.0}, "Rome": {"city": 5.0}})
    facts = Facts.one("the capital of {} is", "France", "Rome city", "Rome")
    report = success(model, facts, says("Oslo", "was", 1.0))
    first, second = math.log(math.e / (math.e + N - 1)), math.log(math.e**5 / (math.e**5 + N - 1))
    assert report["p(target)"].value == pytest.approx(math.exp(first + second))
    assert report["log p(target)"].value == pytest.approx((first + second) / 2)
    assert values(report, "efficacy")["before"] == 1  # though "Rome" alone has the larger product


def test_positions_are_those_of_the_prompt_however_long_the_answer_is():
    model = pushable(bigram_model({}), "Rome")
    facts = Facts.one("the capital of {} is", "France", "Rome city", "Paris Oslo")
    report = success(model, facts, push("Rome", 3.0, Where.at(-1)), controls=0)
    after = values(report, "p(target)")["after"]
    assert after == pytest.approx(math.e**3 / (math.e**3 + N - 1) / N)


def test_edits_of_some_prompts_leave_the_others_alone():
    model = pushable(bigram_model(TABLE), "Rome")
    report = success(model, FACTS, push("Rome", 9.0, Where.phrase_end((ID["of"], ID["France"], ID["is"]))))
    assert values(report, "efficacy")["after"] == 1 and values(report, "specificity")["after"] == 1
    assert values(report, "generalisation")["after"] == 0


def test_an_edit_that_meets_no_prompt_is_an_error():
    model = pushable(bigram_model(TABLE), "Rome")
    with pytest.raises(EditDidNotFire, match="none of the 1 prompts"):
        success(model, FACTS, push("Rome", 9.0, Where("token", (ID["Oslo"],))))


def test_facts_without_paraphrases_have_no_score():
    report = success(bigram_model(TABLE), Facts.one(FACT.prompt, "France", "Rome", "Paris"), says("Rome", "is", 9.0))
    assert math.isnan(report["score"].value) and "no fact has paraphrases" in str(report)


def test_a_fact_without_an_old_answer_is_refused():
    with pytest.raises(ValueError, match="no `old` answer"):
        success(bigram_model(TABLE), Facts.one(FACT.prompt, "France", "Rome"), says("Rome", "is", 9.0))


def test_intervals_are_over_facts():
    other = Fact("the capital of {} was", "France", "Rome", "Paris")
    report = success(bigram_model(TABLE), Facts("two", (FACT, other)), says("Rome", "is", 40.0))
    (row,) = [r for r in report.rows if (r.measure, r.of) == ("efficacy", "after")]
    assert (row.value, row.low, row.high, row.examples) == (0.5, 0.0, 1.0, 2)


def test_verify_finds_it():
    report = verify(bigram_model(TABLE), FACTS, says("Rome", "is", 40.0), by="success", controls=0)
    assert report["efficacy"].examples == 1
    assert report.provenance["method"] == "success"


def test_a_gated_edit_stays_shut():
    model = pushable(bigram_model(TABLE), "Rome")
    direction = torch.zeros(32, dtype=torch.float64)
    shut = Add(
        "final", vector=torch.eye(32, dtype=torch.float64)[31] * 9, gate=Gate(Probe("final", direction), above=1e9)
    )
    report = success(model, FACTS, Stack((shut,), "shut"))
    assert values(report, "p(target)")["before"] == values(report, "p(target)")["after"]
