"""A budget: kept just below, and refused with its figures."""

import math

import pytest

from clew import Scale, Stack
from clew.measures.edits.locality import locality
from clew.readings.budget import AIM, _weaker, within_budget
from tests.measures.bigram_model import WORDS, bigram_model, push, pushable, says, text

TABLE = {"is": {"Rome": 2.0}}
N = len(WORDS)


def asked():
    model = pushable(bigram_model(TABLE), "Oslo")
    return model, text(model, "France is Rome", "Spain was in")


def rise(model, windows, stack):
    return locality(model, windows, stack, controls=0)["loss increase"].value


@pytest.mark.parametrize("stack", [push("Oslo", 5.0), says("Oslo", "is", 5.0)])
def test_a_stack_is_scaled_to_just_below_its_budget(stack):
    model, windows = asked()
    kept = within_budget(model, stack, windows, 0.01)
    said = kept.about["budget"]
    assert 0.009 <= said["reached"] <= 0.01 < said["at full strength"]
    assert rise(model, windows, kept) == pytest.approx(said["reached"])
    assert kept[0].scale == said["factor"] < 1 and said["tokens"] == 4 and said["text"] == windows.policy["hash"]


@pytest.mark.parametrize("budget", [1e-3, 0.01, 0.1])
@pytest.mark.parametrize("size", [5.0, 50.0])
def test_few_passes_find_the_strength_and_every_one_is_told(budget, size):
    model, windows = asked()
    told = []
    said = within_budget(model, says("Oslo", "is", size), windows, budget, progress=lambda *n: told.append(n)).about
    assert said["budget"]["passes"] == len(told) <= 6  # bisecting takes up to 12
    assert told == [(i + 1, 12) for i in range(len(told))]


@pytest.mark.parametrize("power", [1.0, 2.0, 3.7])
def test_a_cost_that_is_a_power_of_the_strength_is_met_at_once(power):
    runs = []

    def rise(stack):
        runs.append(stack[0].scale)
        return 2 * stack[0].scale ** power

    factor, reached, _ = _weaker(push("Oslo", 1.0), rise, 2.0, 0.01, 4)
    assert factor == pytest.approx((AIM * 0.01 / 2) ** (1 / power)) and reached == pytest.approx(AIM * 0.01)
    assert len(runs) == (1 if power == 2.0 else 2)


def test_a_cost_that_leaps_is_still_bracketed_and_never_over():
    def rise(stack):
        return -0.1 if stack[0].scale < 0.3 else math.inf

    factor, reached, scaled = _weaker(push("Oslo", 1.0), rise, math.nan, 0.01, 4)
    assert 0.29 < factor < 0.3 and reached == -0.1 and scaled[0].scale == factor


def test_a_cost_that_is_flat_and_then_leaps_is_bracketed_too():
    def rise(stack):
        return 1e-4 * (1 + 1e-3 * stack[0].scale) if stack[0].scale < 0.97 else math.nan

    factor, reached, _ = _weaker(push("Oslo", 1.0), rise, math.nan, 0.01, 4)
    assert 0.9 < factor < 0.97 and reached < 0.01


def test_the_loss_before_by_hand():
    model, windows = asked()
    said = within_budget(model, push("Oslo", 0.1), windows, 0.01).about["budget"]
    assert said["loss before"] == pytest.approx((math.log(math.exp(2) + N - 1) - 2 + 3 * math.log(N)) / 4)


def test_a_stack_within_its_budget_stays_as_it_is():
    model, windows = asked()
    stack = push("Oslo", 0.1)
    kept = within_budget(model, stack, windows, 0.01)
    assert kept[0] is stack[0] and kept.about["budget"]["factor"] == 1.0


def test_an_edit_that_lowers_the_loss_is_within_every_budget():
    model, windows = asked()
    assert within_budget(model, says("Rome", "is", 2.0), windows, 1e-9).about["budget"]["reached"] < 0


def test_what_is_over_its_budget_at_any_strength_is_refused():
    model, windows = asked()
    with pytest.raises(ValueError, match="over the budget of 1e-12, and at 0.00098 of its strength still by"):
        within_budget(model, push("Oslo", 5.0), windows, 1e-12)


def test_what_cannot_be_made_weaker_is_refused():
    model, windows = asked()
    with pytest.raises(ValueError, match="cannot be made weaker"):
        within_budget(model, Stack((Scale("final", factor=-1.0),)), windows, 0.01)


def test_a_budget_is_above_zero():
    model, windows = asked()
    with pytest.raises(ValueError, match="budget=0"):
        within_budget(model, push("Oslo", 5.0), windows, 0.0)
