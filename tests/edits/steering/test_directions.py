"""Estimators of steering vectors where the truth was planted, and what is true of all of them."""

import warnings
from dataclasses import replace

import pytest
import torch

from clew.changes import Steer
from clew.data.labels.labelled import Labelled
from clew.edits.steering.lda import lda
from clew.edits.steering.logistic import logistic
from clew.edits.steering.mean_difference import mean_difference
from clew.edits.steering.pair_pca import pair_pca
from clew.edits.steering.reading_vector import reading_vector
from clew.sites import EVERY, RESPONSE, Site
from tests.edits.planted_states import D, noisy, paired, planted
from tests.models.tiny import model_of

CONTRASTS = [mean_difference, pair_pca, logistic, lda]
TEXTS = (["the nurse said that", "a good king"], ["a man", "the old queen was not"])
EMBED = [Site("embed")]


def vector(stack):
    (edit,) = stack
    return edit.vector.double()


def cosine(stack) -> float:
    """With the truth, e_0."""
    return float(vector(stack)[0] / vector(stack).norm())


@pytest.mark.parametrize("estimator", CONTRASTS, ids=lambda f: f.__name__)
def test_without_a_nuisance_all_recover_what_was_planted(estimator):
    model, texts = planted(*noisy(200, nuisance=0.0))
    stack = estimator(model, paired(texts), sites=EMBED)
    assert cosine(stack) > (0.95 if estimator is lda else 0.99)  # a covariance of 200 pairs in 32 dimensions is noisy
    assert float(vector(stack).norm()) == pytest.approx(3.0, abs=0.2)  # at scale 1 the one mean comes to the other


@pytest.mark.parametrize("estimator", [mean_difference, logistic, lda])
def test_texts_need_not_be_paired(estimator):
    model, texts = planted(*noisy(200, nuisance=0.0))
    assert cosine(estimator(model, texts, sites=EMBED)) > 0.9


def test_one_text_is_not_read_letter_by_letter():
    with pytest.raises(ValueError, match="letter by letter; give two lists of texts"):
        mean_difference(model_of(), ("I love this", "I hate this"))


def test_a_nuisance_wider_than_the_mean_fools_pair_pca_and_it_says_so():
    model, texts = planted(*noisy(200, nuisance=4.0))
    with pytest.warns(UserWarning, match=r"pair_pca at embed: .*rather a nuisance"):
        plain = pair_pca(model, paired(texts), sites=EMBED)
    with pytest.warns(UserWarning, match="rather a nuisance"):
        centred = pair_pca(model, paired(texts), sites=EMBED, faithful=True)
    assert abs(cosine(plain)) < 0.5 and abs(cosine(centred)) < 0.05
    assert "nuisance" in plain.about["sites"]["embed"]["warning"]
    assert plain.about["sites"]["embed"]["explained"] > 0.5


@pytest.mark.parametrize("estimator", [mean_difference, logistic, lda])
def test_a_nuisance_does_not_fool_the_others(estimator):
    model, texts = planted(*noisy(400, nuisance=4.0))
    assert cosine(estimator(model, paired(texts), sites=EMBED)) > (0.95 if estimator is lda else 0.99)


def test_taking_the_mean_off_first_loses_the_mean():
    """Noise alone is left: what was planted is in no axis of it."""
    model, texts = planted(*noisy(200, nuisance=0.0))
    with pytest.warns(UserWarning):
        assert abs(cosine(pair_pca(model, paired(texts), sites=EMBED, faithful=True))) < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cosine(pair_pca(model, paired(texts), sites=EMBED)) > 0.99


def test_the_axis_points_to_where_most_wanted_texts_lie():
    wanted, unwanted = torch.zeros(5, D), torch.zeros(5, D)
    wanted[:, 2] = torch.tensor([-1.0, 1, 2, 3, 4])  # the mean difference is 1.8
    model, texts = planted(wanted, unwanted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert vector(pair_pca(model, paired(texts), sites=EMBED))[2] == pytest.approx(1.8)


def test_the_mean_difference_by_hand():
    wanted, unwanted = torch.zeros(2, D), torch.zeros(3, D)
    wanted[:, 0], unwanted[:, 1] = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0, 5.0])
    model, texts = planted(wanted, unwanted)
    stack = mean_difference(model, texts, sites=EMBED)
    assert vector(stack)[:3].tolist() == [2.0, -2.0, 0.0]
    assert stack.about["norm"] == "natural" and stack.about["sites"]["embed"]["size"] == pytest.approx(8**0.5)
    unit = mean_difference(model, texts, sites=EMBED, steer=Steer(normalise=True))
    assert torch.allclose(vector(unit), vector(stack) / 8**0.5) and unit.about["norm"] == "unit"


def test_a_reading_vector_is_the_standardised_mean_of_the_wanted_alone():
    wanted = noisy(50, nuisance=0.0)[0]
    wanted[:, 3] += 40
    model, texts = planted(wanted, wanted[:1])
    stack = reading_vector(model, (texts[0], []), sites=EMBED)
    mean = wanted.mean(0)
    assert torch.allclose(vector(stack), (mean - mean.mean()) / mean.std(correction=0))
    assert vector(stack).norm() == pytest.approx(D**0.5) and vector(stack)[3] > 5


@pytest.mark.parametrize("by", [logistic, lda])
def test_accuracy_is_of_texts_held_out(by):
    """Noise can be told apart where it was learnt, and nowhere else."""
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(80, D, generator=g)
    model, texts = planted(noise[:40], noise[40:])
    assert by(model, texts, sites=EMBED).about["sites"]["embed"]["accuracy"] == pytest.approx(0.5, abs=0.15)
    model, texts = planted(*noisy(40, nuisance=0.0))
    assert by(model, paired(texts), sites=EMBED).about["sites"]["embed"]["accuracy"] > 0.95
    assert by(model, ([(0,)], [(50,)]), sites=EMBED).about["sites"]["embed"]["accuracy"] is None


@pytest.mark.parametrize("estimator", [*CONTRASTS[:1], logistic, lda, reading_vector])
def test_steering_is_symmetric_and_nothing_at_scale_0(estimator):
    model = model_of("llama", torch.float64)
    run = lambda x: model.edited(estimator(model, TEXTS, steer=Steer(scale=x))).run(TEXTS[0][0], read=["resid.1"])  # noqa: E731
    plain, none, plus, minus = model.run(TEXTS[0][0], read=["resid.1"]), run(0.0), run(2.0), run(-2.0)
    assert torch.equal(none.logits, plain.logits) and torch.equal(none["resid.1"], plain["resid.1"])
    assert torch.allclose(plus["resid.1"] - plain["resid.1"], plain["resid.1"] - minus["resid.1"], atol=1e-12)


def test_the_site_moves_by_the_scaled_vector_and_what_is_below_by_nothing():
    model = model_of("llama", torch.float64)
    (edit,) = stack = mean_difference(model, TEXTS, steer=Steer(scale=0.7))
    assert edit.at == Site("resid", 1)  # the middle of three
    sites = [s for s in model.sites() if s.part != "pattern"]
    plain, moved = model.run(TEXTS[1][1], read=sites), model.edited(stack).run(TEXTS[1][1], read=sites)
    assert torch.allclose(moved[edit.at] - plain[edit.at], (0.7 * edit.vector).expand_as(plain[edit.at]), atol=1e-12)
    for site in sites:
        assert torch.equal(moved[site], plain[site]) == (site < edit.at)


def test_the_norm_may_be_kept():
    model = model_of("llama", torch.float64)
    plain = model.run(TEXTS[0][0], read=["resid.1"])["resid.1"]
    edited = model.edited(mean_difference(model, TEXTS, steer=Steer(keep_norm=True)))
    moved = edited.run(TEXTS[0][0], read=["resid.1"])["resid.1"]
    assert torch.allclose(moved.norm(dim=-1), plain.norm(dim=-1)) and not torch.allclose(moved, plain)


def test_padding_changes_nothing():
    model = model_of("llama", torch.float64)
    steered = model.edited(mean_difference(model, TEXTS, sites=["resid.0", "attn.1"]))
    tokens, real = steered.tokens([*TEXTS[0], *TEXTS[1]])
    together = steered.run(tokens, real=real, logits=1).logits
    alone = torch.cat([steered.run(text, logits=1).logits for text in [*TEXTS[0], *TEXTS[1]]])
    assert torch.allclose(together, alone, atol=1e-10, rtol=0) and not bool(real.all())


@pytest.mark.parametrize("where", [EVERY, RESPONSE], ids=str)
def test_a_cache_changes_nothing_token_by_token(where):
    model = model_of("llama", torch.float64)
    model.body.module.generation_config.eos_token_id = None
    steered = model.edited(mean_difference(model, TEXTS, steer=Steer(where, scale=3.0)))
    written, without = (steered.generate(TEXTS[0], max_new_tokens=6, use_cache=c).tokens for c in (True, False))
    assert torch.equal(written, without)
    if where == EVERY:  # one run of the whole text decides each token as the steps did
        tokens, real = steered.tokens(TEXTS[0])
        real = torch.cat([real, real.new_ones(2, 6)], dim=1)
        assert torch.equal(steered.run(written, real=real).logits[:, -7:-1].argmax(-1), written[:, tokens.shape[1] :])


def test_labelled_texts_say_which_class_is_wanted_and_which_token_is_read():
    model = model_of("llama", torch.float64)
    texts = Labelled("two", (*TEXTS[0], "she", *TEXTS[1]), {"tone": ("up", "up", "", "down", "down")}, position=-2)
    stack = mean_difference(model, texts, positive="up")
    assert torch.equal(vector(stack), vector(mean_difference(model, TEXTS, at=-2)))
    assert stack.about["evidence_hash"] == texts.hash and (stack.about["wanted"], stack.about["unwanted"]) == (2, 2)
    with pytest.raises(ValueError, match="say which class is wanted by positive=; two has known: down, up"):
        mean_difference(model, texts)
    with pytest.raises(ValueError, match="no class 'upp'; two has did you mean 'up'"):
        mean_difference(model, texts, positive="upp")


def test_a_gap_inside_its_noise_is_no_direction_of_pairs():
    """Pairs that are turned around differ nowhere; one that is left alone among them is no evidence of a direction."""
    g = torch.Generator().manual_seed(0)
    wanted, unwanted = torch.randn(2, 20, D, generator=g, dtype=torch.float64)
    model, texts = planted(wanted, unwanted)
    turned = replace(paired(texts), pairs=(*paired(texts).pairs, *paired(texts[::-1]).pairs[1:]), split=None)
    for estimator in (mean_difference, logistic, lda):
        with pytest.raises(
            ValueError, match=r"standard error .* over 20 groups of prompts\), so the direction is mostly"
        ):
            estimator(model, turned, sites=EMBED)
    with pytest.raises(ValueError, match="mostly noise"):
        mean_difference(model, paired(texts), sites=EMBED)
    with pytest.warns(UserWarning, match="mostly noise; give more texts, or pairs that differ in nothing else"):
        mean_difference(model, texts, sites=EMBED)
    assert (
        mean_difference(model, paired((texts[0][:4], texts[1][:4])), sites=EMBED).about["sites"]["embed"]["noise"]
        is None
    )


def test_the_noise_of_a_gap_is_its_standard_error_over_groups_of_prompts():
    model, texts = planted(*noisy(200, nuisance=0.0))
    one, other = noisy(200, nuisance=0.0)
    wanted = float(((one - other).var(0) / 200).sum().sqrt())
    said = mean_difference(model, paired(texts), sites=EMBED).about["sites"]["embed"]
    assert said["noise"] == pytest.approx(wanted, rel=1e-5)
    twice = replace(paired(texts), pairs=paired(texts).pairs * 2, split=None)
    assert mean_difference(model, twice, sites=EMBED).about["sites"]["embed"]["noise"] == pytest.approx(
        wanted, rel=1e-5
    )


def test_a_probe_that_tells_other_texts_may_point_where_the_gap_is_noise():
    model, texts = planted(*noisy(40, nuisance=60.0))
    with pytest.raises(ValueError, match="mostly noise"):
        mean_difference(model, paired(texts), sites=EMBED)
    assert lda(model, paired(texts), sites=EMBED).about["sites"]["embed"]["accuracy"] > 0.9


def test_what_gives_no_direction_is_said():
    model = model_of("llama")
    with pytest.raises(ValueError, match="has no unwanted texts"):
        mean_difference(model, (["a king"], []))
    with pytest.raises(ValueError, match="do not differ on average at resid.1"):
        mean_difference(model, (["a king"], ["a king"]))
    with pytest.raises(ValueError, match="for two classes of texts use mean_difference"):
        pair_pca(model, TEXTS)
