"""Steering, by hand: a vector that only the unembedding reads moves every logit by what it says."""

import math

import pytest
import torch

from clew import Add, Behaviour, EditDidNotFire, Pair, Set, Stack, Where, edit
from clew.changes import Gate
from clew.measures.edits.steering_effect import steering_effect
from clew.models import open_model
from clew.probing import Probe
from tests.measures.bigram_model import ID, WORDS, D, bigram_model, choice, push, pushable

TABLE = {"is": {"Paris": 2.0}, "was": {"Rome": 1.0}}
N = len(WORDS)


def value(report, measure, of):
    (row,) = [r for r in report.rows if (r.measure, r.of) == (measure, of)]
    return row.value


def model():
    return pushable(bigram_model(TABLE), "Rome")


def test_a_push_by_hand():
    report = steering_effect(model(), choice(model(), "France is", "France was"), push("Rome", 3.0), held_out=False)
    assert value(report, "metric", "unedited") == pytest.approx((-2 + 1) / 2)
    assert value(report, "shift", "strength 1") == pytest.approx(3)
    assert value(report, "shift", "strength -0.5") == pytest.approx(-1.5)
    assert value(report, "slope", "all strengths") == pytest.approx(3)
    assert value(report, "monotone", "all strengths") == 1
    assert [value(report, "anti-steered", of) for of in ("strength 1", "strength -1", "all strengths")] == [0, 0, 0]
    z_is, z_was = math.exp(3) + math.exp(2) + N - 2, math.exp(4) + N - 1
    assert value(report, "p(answers)", "strength 1") == pytest.approx((math.exp(3) / z_is + math.exp(4) / z_was) / 2)
    assert value(report, "p(patch answers)", "strength 1") == pytest.approx((math.exp(2) / z_is + 1 / z_was) / 2)


def test_the_anti_steering_rate_by_hand():
    """After "is" the edit takes from Rome what it gives everywhere else, so one example of three moves the wrong way."""
    steered = model()
    gate = Gate(Probe("final", torch.eye(D, dtype=torch.float64)[ID["is"]]))
    against = Add("final", vector=push("Rome", -5.0)[0].vector, gate=gate)
    stack = Stack((push("Rome", 2.0)[0], against))
    behaviour = choice(steered, "France is", "France was", "Spain was")
    report = steering_effect(steered, behaviour, stack, strengths=(1.0,), held_out=False, controls=0)
    assert value(report, "anti-steered", "strength 1") == pytest.approx(1 / 3)
    assert value(report, "anti-steered", "all strengths") == pytest.approx(1 / 3)
    assert value(report, "monotone", "all strengths") == pytest.approx(2 / 3)
    assert value(report, "shift", "strength 1") == pytest.approx((2 + 2 - 3) / 3)


def test_entropy_and_divergence_are_those_of_a_table_without_entries():
    flat = pushable(bigram_model({}), "Rome")
    report = steering_effect(flat, choice(flat, "France is"), push("Rome", 3.0), strengths=(1.0,), held_out=False)
    p = math.exp(3) / (math.exp(3) + N - 1)
    q = (1 - p) / (N - 1)
    assert value(report, "entropy", "unedited") == pytest.approx(math.log(N))
    assert value(report, "KL", "unedited") == 0
    assert value(report, "entropy", "strength 1") == pytest.approx(-p * math.log(p) - (N - 1) * q * math.log(q))
    assert value(report, "KL", "strength 1") == pytest.approx(-math.log(N) - (math.log(p) + (N - 1) * math.log(q)) / N)


def test_random_directions_stand_beside():
    report = steering_effect(model(), choice(model(), "France is"), push("Rome", 3.0), held_out=False, controls=2)
    assert abs(value(report, "slope", "random, all strengths")) < 3
    assert value(report, "KL", "random, strength 1") > 0


def test_patch_prompts_are_steered_towards_the_answers_of_the_clean_ones():
    pairs = (Pair("France was", "France is", (" Rome",), (" Paris",)),) * 2
    behaviour = Behaviour("pairs", pairs)
    report = steering_effect(model(), behaviour, push("Rome", 3.0), on="patch", strengths=(1.0,))
    assert value(report, "metric", "unedited") == pytest.approx(-2)
    assert value(report, "metric", "strength 1") == pytest.approx(1)


def test_what_cannot_be_scaled_is_judged_as_it_is():
    stack = Stack((Set("final", value=0.0),))
    report = steering_effect(model(), choice(model(), "France is"), stack, strengths=(1.0,), held_out=False)
    assert value(report, "metric", "strength 1") == 0
    with pytest.raises(ValueError, match="no strength to scale"):
        steering_effect(model(), choice(model(), "France is"), stack, held_out=False)


def test_what_cannot_be_asked_is_refused():
    asked, stack = choice(model(), "France is"), push("Rome", 3.0)
    with pytest.raises(ValueError, match="no patch prompts"):
        steering_effect(model(), asked, stack, on="patch", held_out=False)
    with pytest.raises(ValueError, match="strengths="):
        steering_effect(model(), asked, stack, strengths=(0.0,), held_out=False)
    with pytest.raises(EditDidNotFire):
        steering_effect(model(), asked, push("Rome", 3.0, Where("token", (ID["Oslo"],))), held_out=False)


@pytest.mark.real
def test_plural_nouns_of_a_real_model_are_steered_to_singular_and_not_by_random_directions():
    smollm = open_model("smollm2-135m")
    pairs = Behaviour.load("agreement/simple", model=smollm, n=80).pairs
    singular = Behaviour("singular", tuple(p for p in pairs if p.case == "singular"))
    stack = edit(smollm, singular, by="mean_difference", sites=["resid.15"])
    report = steering_effect(smollm, singular, stack, on="patch", strengths=(1.0,), controls=2)
    assert value(report, "shift", "strength 1") > 5 > 10 * abs(value(report, "shift", "random, strength 1"))
    assert value(report, "anti-steered", "strength 1") == 0
