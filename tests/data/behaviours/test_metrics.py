import math
from functools import partial

import numpy as np
import pytest
import torch

import clew
from clew.data.behaviours.metrics import (
    Needs,
    answer_logit,
    kl_divergence,
    last_logits,
    log_probability,
    logit_difference,
    measured,
    metric_named,
    name_of,
    needs,
    probability_difference,
    reading,
)
from clew.data.behaviours.pairs import Batch, Pair
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models.trace import Trace
from clew.probing import Probe
from clew.sites import Site
from tests.planted import random_behaviour, tiny_model

ONES = torch.ones(1, 3, dtype=torch.long)


def trace(logits, values=None):
    return Trace(ONES, ONES.bool(), logits=None if logits is None else logits.view(1, 1, -1), values=values or {})


def batch(answers=(0,), patch_answers=(1,), reference=None):
    wrong = torch.tensor([patch_answers]) if patch_answers else None
    return Batch(ONES, None, torch.tensor([answers]), wrong, (0,), (Pair("a", None, ("b",)),), reference)


LOGITS = torch.tensor([3.0, 1.0, 0.5, -2.0])


def test_one_answer_against_one_is_their_logit_difference():
    assert logit_difference(trace(LOGITS), batch()).item() == 2.0


def test_sets_are_the_log_of_the_ratio_of_their_probabilities():
    p = LOGITS.softmax(0)
    expected = math.log((p[0] + p[2]) / (p[1] + p[3]))
    assert logit_difference(trace(LOGITS), batch((0, 2), (1, 3))).item() == pytest.approx(expected, abs=1e-6)


def test_filling_changes_nothing():
    assert torch.equal(
        logit_difference(trace(LOGITS), batch((0, -1, -1), (1, -1))), logit_difference(trace(LOGITS), batch())
    )


def test_answer_logit_and_log_probability():
    assert answer_logit(trace(LOGITS), batch()).item() == 3.0
    assert log_probability(trace(LOGITS), batch((2,))).item() == pytest.approx(LOGITS.log_softmax(0)[2].item())


def test_probability_difference_sums_sets():
    p = LOGITS.softmax(0)
    found = probability_difference(trace(LOGITS), batch((0, 2), (1,)))
    assert found.item() == pytest.approx((p[0] + p[2] - p[1]).item(), abs=1e-6)


def test_kl_divergence_is_zero_where_nothing_changed_and_known_by_hand():
    reference = torch.tensor([[0.0, 0.0]])
    same = batch(reference=reference)
    assert kl_divergence(trace(torch.zeros(2)), same).item() == 0.0
    # KL((1/2, 1/2) || (3/4, 1/4)) = 1/2 log(2/3) + 1/2 log 2.
    changed = kl_divergence(trace(torch.tensor([3.0, 1.0]).log()), same).item()
    assert changed == pytest.approx(-0.5 * math.log(4 / 3), abs=1e-6)


def test_kl_divergence_without_a_reference_says_where_to_get_one():
    with pytest.raises(ValueError, match=r"with_metric\(kl_divergence\)"):
        kl_divergence(trace(LOGITS), batch())


@pytest.mark.parametrize(
    "metric", [logit_difference, answer_logit, log_probability, probability_difference, kl_divergence]
)
def test_gradients_are_those_of_finite_differences(metric):
    asked = batch((0, -1), (1, 3), reference=torch.tensor([[0.3, -0.2, 0.1, 0.0]], dtype=torch.float64))
    logits = LOGITS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: metric(trace(x), asked), logits)


def test_half_precision_logits_are_measured_in_float32():
    assert log_probability(trace(LOGITS.bfloat16()), batch()).dtype == torch.float32


def test_a_missing_patch_answer_and_missing_logits_are_named():
    with pytest.raises(ValueError, match="use answer_logit or log_probability"):
        logit_difference(trace(LOGITS), batch(patch_answers=()))
    with pytest.raises(ValueError, match="logits=1"):
        answer_logit(trace(None), batch())


def test_metrics_have_names():
    assert [name_of(m) for m in (logit_difference, kl_divergence)] == ["logit_difference", "kl_divergence"]
    one, same, other = (Probe("resid.0", torch.full((2,), w)) for w in (1.0, 1.0, 2.0))
    assert name_of(one) == name_of(same) != name_of(other) and name_of(one).startswith("probe(resid.0, ")


def test_metrics_by_name() -> None:
    assert metric_named("log-probability") is log_probability
    with pytest.raises(ValueError, match="did you mean 'log_probability'"):
        metric_named("log_probabilty")


def two() -> Batch:
    """Two examples; a metric of them is [2]."""
    ones = torch.ones(2, 3, dtype=torch.long)
    return Batch(ones, None, ones[:, :1], None, (0, 1), (Pair("a", None, ("b",)),) * 2)


def test_what_is_measured_is_what_the_metric_gives():
    assert measured(lambda trace, batch: torch.tensor([1.0, -2.0]), trace(LOGITS), two()).tolist() == [1.0, -2.0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (torch.zeros(2, 3), r"each of the 2 examples, \[2\]; it gave \[2, 3\]"),
        (torch.zeros(()), r"it gave \[\]"),  # a mean over the examples
        (torch.zeros(1), r"it gave \[1\]"),
        (0.5, "it gave float"),
        ([0.5, 0.5], "it gave list"),
        (torch.tensor([0.0, float("nan")]), "is nan for example 1"),
        (torch.tensor([float("inf"), 0.0]), "is inf for example 0"),
    ],
)
def test_what_is_no_number_for_each_example_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        measured(lambda trace, batch: values, trace(LOGITS), two())


# What a metric needs, and what it must give.


def test_a_metric_says_what_it_reads():
    @reading("resid.1", logits=0)
    def strength(trace, batch):
        return trace["resid.1"][:, -1].norm(dim=-1)

    assert needs(strength) == Needs((Site("resid", 1),), 0, False) and needs(logit_difference) == Needs((), 1, False)
    task, model = random_behaviour(n=2), tiny_model("llama")
    found = attribution_patching(model.neurons("resid.0"), task.with_metric(strength))
    assert len(found) and np.isfinite(found.score).all()


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"reads": "resid.1"}, r"reads 'resid.1'; give a list of sites, \('resid.1',\)"),
        ({"reads": ("resdi.1",)}, "did you mean 'resid'"),
        ({"logits": -1}, "logits=-1; say of how many last positions"),
        ({"logits": True}, "logits=True; say of how many"),
    ],
)
def test_a_metric_that_says_what_cannot_be_read_is_refused(attributes, words):
    def metric(trace, batch):
        return last_logits(trace)[:, 0]

    for name, value in attributes.items():
        setattr(metric, name, value)
    with pytest.raises(ValueError, match=words):
        needs(metric)


WRONG = {
    "a mean": (
        lambda trace, batch: last_logits(trace)[:, 5].mean(),
        r"must give one number for each of the .+ examples",
    ),
    "three for each": (lambda trace, batch: last_logits(trace)[:, :3], r"it gave \[.+, 3\]"),
    "a list": (lambda trace, batch: [1.0] * len(batch), "it gave list"),
    "nan": (lambda trace, batch: last_logits(trace)[:, 5] * float("nan"), "is nan for example 0"),
    "inf": (lambda trace, batch: last_logits(trace)[:, 5] + float("inf"), "is inf for example 0"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_every_door_refuses_a_metric_that_is_not_one_finite_number_for_each_example(wrong):
    metric, words = WRONG[wrong]
    task, model = random_behaviour(n=4), tiny_model("llama")
    seen, good = model.neurons("resid.0"), random_behaviour(n=4)
    bad = task.with_metric(metric)
    circuit = clew.find(seen, good, by="attribution_patching").top(3)
    edges = clew.find(model, good, by="eap").strongest_edges(4)
    stack = clew.edit(model, good, by="mean_difference", sites=["resid.1"])
    doors = [
        *(
            partial(clew.find, seen, bad, by=by)
            for by in ("attribution_patching", "integrated_gradients", "exact_patching")
        ),
        *(partial(clew.find, model, bad, by=by) for by in ("eap", "eap_ig_inputs", "exact_edge_patching")),
        *(partial(clew.verify, seen, bad, circuit, by=by) for by in ("faithfulness", "curve", "predicted_effects")),
        partial(clew.verify, model, bad, edges),
        partial(clew.verify, model, bad, stack),
    ]
    for door in doors:
        with pytest.raises(ValueError, match=words):
            door()


def test_a_run_that_kept_fewer_logits_than_the_metric_reads_is_refused():
    several = reading(logits=2)(lambda run, _: run.logits.sum((1, 2)))
    with pytest.raises(ValueError, match="reads the logits of the last 2 positions, and this run kept those of 1"):
        measured(several, trace(torch.zeros(4)), batch())
