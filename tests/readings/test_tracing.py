import pytest
import torch

from clew.data.facts.facts import Fact, Facts
from clew.readings.tracing import trace_facts
from tests.models.tiny import model_of

FACTS = Facts(
    "two", (Fact("the {} said that", "old king", "red", "good man"), Fact("in the {} said", "queen", "she", "not"))
)
FAMILIES = pytest.mark.parametrize("family", ["llama", "gpt_neox"])


def traced(family="llama", **options):
    model = model_of(family, torch.float64)
    return model, trace_facts(model, FACTS, **{"samples": 3, "window": 1} | options)


@FAMILIES
def test_the_last_stream_restored_at_the_end_gives_back_the_answer(family):
    _, found = traced(family)
    one_token = 1  # the answer "not", which is read off the last position alone
    back = found.effect[one_token, 1, 1, -1] + found.corrupted[one_token]
    assert float(back) == pytest.approx(float(found.clean[one_token]), abs=1e-6)


@FAMILIES
def test_the_last_stream_restored_at_the_subject_does_nothing(family):
    _, found = traced(family)
    assert found.effect[:, 1, 0, -1].abs().max() < 1e-7


def test_all_mlps_restored_are_more_than_one():
    model, found = traced()
    wide = trace_facts(model, FACTS, samples=3, window=2 * model.n_layers)
    assert found.effect.shape == (2, 2, 2, model.n_layers)
    assert torch.allclose(wide.effect[:, 0, :, 0], wide.effect[:, 0, :, 1])  # the same MLPs around either layer
    assert not torch.allclose(wide.effect[:, 0, :, 0], found.effect[:, 0, :, 0])


def test_a_run_from_the_middle_is_a_run_from_the_start():
    model, found = traced()
    model.body.refused["resume"] = "not here"
    again = trace_facts(model, FACTS, samples=3, window=1)
    assert torch.allclose(found.effect, again.effect, atol=1e-7)


def test_noise_is_drawn_by_the_seed_and_none_changes_nothing():
    _, found = traced()
    assert torch.equal(found.effect, traced()[1].effect)
    assert not torch.equal(found.effect, traced(seed=1)[1].effect)
    _, faint = traced(noise=1e-12)
    assert torch.allclose(faint.corrupted, faint.clean, atol=1e-6) and faint.effect.abs().max() < 1e-6


def test_the_noise_is_that_many_deviations_of_the_subjects_embeddings():
    model, found = traced(noise=2.0)
    embedded = model.run(model.tokens("old king queen")[0], read=["embed"])["embed"]
    assert found.sigma == pytest.approx(2 * float(embedded.std()))


def test_layers_are_ranked_by_the_mlps_at_the_subject():
    _, found = traced()
    mean = found.effect[:, 0, 0].mean(0)
    assert found.ranked(2) == sorted(range(len(mean)), key=lambda layer: -mean[layer])[:2]


def test_errors_say_what_is_missing():
    with pytest.raises(ValueError, match="no `old`"):
        trace_facts(model_of(), Facts.one("the {} said", "king", "that"))
    with pytest.raises(ValueError, match="samples=0"):
        trace_facts(model_of(), FACTS, samples=0)
