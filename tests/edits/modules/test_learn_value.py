"""The search for what a subject shall mean: its loss by hand, what it reaches, and what it leaves alone."""

import doctest
import importlib
import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from clew.edits import Descent
from clew.edits.modules.learn_value import USUAL, embedded, learn_value
from clew.edits.modules.refact import edited, key_of, moment_of, refact
from tests.edits.modules.pictures import WIDE, clip, draw, t5
from tests.models.tiny import WORDS

FC2 = "text_model.encoder.layers.0.mlp.fc2"
FACT = ("the old king was good", "old king")
IMAGES = draw(4, 12, seed=3)
FRAMES = ("{}", "he said that {}")


def search(encoder: nn.Module, tokenizer: object, targets: Tensor = IMAGES[:1], **say):
    """With options of `learn_value`, or fields of its descent."""
    parts = {name: say.pop(name) for name in [*say] if name in Descent.__dataclass_fields__}
    more = {"frames": FRAMES, "descent": replace(USUAL, **parts), **say}
    return learn_value(encoder, *FACT, targets, IMAGES[1:], tokenizer=tokenizer, at=FC2, **more)


def scores(encoder: nn.Module, tokenizer: object, *texts: str) -> Tensor:
    """Cosines of texts with the images."""
    return torch.cosine_similarity(embedded(encoder, texts, tokenizer=tokenizer)[:, None], IMAGES[None], dim=-1)


def with_delta(encoder: nn.Module, tokenizer: object, text: str, place: int, delta: Tensor) -> Tensor:
    """Log probabilities of the target and the others when δ is added at one place, by a hook."""
    add = lambda _, __, out: out + delta * (torch.arange(out.shape[1]) == place)[:, None]  # noqa: E731
    hook = encoder.get_submodule(FC2).register_forward_hook(add)
    cosines = scores(encoder, tokenizer, text)[0]
    hook.remove()
    return (encoder.logit_scale.exp() * cosines).log_softmax(-1)


def test_no_step_gives_what_the_map_gives_now():
    encoder, tokenizer = clip()
    found = search(encoder, tokenizer, steps=0)
    key = key_of(encoder, *FACT, tokenizer=tokenizer, at=FC2)
    assert torch.equal(found.wanted, encoder.get_submodule(FC2)(key)) and found.steps == 0
    assert not found.delta.any()


def test_the_loss_is_that_of_clip_with_delta_added_at_the_subject_of_every_frame():
    encoder, tokenizer = clip()
    nn.init.constant_(encoder.logit_scale, 1.5)
    for steps in (0, 3):
        found = search(encoder, tokenizer, steps=steps)
        each = [with_delta(encoder, tokenizer, frame.format(FACT[0]), place, found.delta)[0]
                for frame, place in zip(FRAMES, (3, 6), strict=True)]  # fmt: skip
        assert found.nll == pytest.approx(-float(torch.stack(each).mean().detach()), abs=1e-10)


def test_the_first_step_follows_the_gradient_of_the_whole_loss():
    """Adam's first step is lr times the sign of the gradient; the KL has none at 0, and so has the decay."""
    encoder, tokenizer = clip()
    delta = torch.zeros(WIDE, dtype=torch.float64, requires_grad=True)
    add = lambda _, __, out: out + delta * (torch.arange(out.shape[1]) == 3)[:, None]  # noqa: E731
    hook = encoder.get_submodule(FC2).register_forward_hook(add)
    said = encoder.get_text_features(**tokenizer([FACT[0]], return_tensors="pt", return_token_type_ids=False))
    hook.remove()
    cosines = torch.cosine_similarity(said.pooler_output, IMAGES)
    (-(encoder.logit_scale.exp() * cosines).log_softmax(-1)[0]).backward()
    found = search(encoder, tokenizer, frames=("{}",), retain=["the nurse"], steps=1, lr=1e-3)
    assert torch.allclose(found.delta, -1e-3 * delta.grad.sign(), rtol=1e-3)


def test_the_loss_falls_as_it_searches_on():
    encoder, tokenizer = clip()
    nlls = [search(encoder, tokenizer, steps=steps).nll for steps in (0, 2, 5, 20, 100)]
    assert nlls == sorted(nlls, reverse=True) and nlls[0] > 1 > 0.1 > nlls[-1]
    soon, never = (search(encoder, tokenizer, steps=20, enough=enough) for enough in (1.6, 0.0))
    assert soon.nll < 1.6 and soon.steps < never.steps == 20


def test_the_edited_encoder_takes_the_subject_for_the_target_and_with_a_prior_nothing_else():
    (encoder, tokenizer), drawn = clip(), random.Random(0)
    prior = moment_of(encoder, [" ".join(drawn.choices(WORDS, k=8)) for _ in range(64)], tokenizer=tokenizer, at=FC2)
    value = search(encoder, tokenizer).wanted
    about, beside = (FACT[0], "the old king", "an old king"), ("the nurse", "a man", "the king", "not very good")
    new = edited(encoder, refact(encoder, *FACT, value, tokenizer=tokenizer, at=FC2, prior=prior.matrix))
    takes = lambda module, texts: scores(module, tokenizer, *texts).argmax(-1).tolist()  # noqa: E731
    assert 0 not in takes(encoder, about) and takes(new, about) == [0, 0, 0]
    assert takes(new, beside) == takes(encoder, beside)
    free = edited(encoder, refact(encoder, *FACT, value, tokenizer=tokenizer, at=FC2))
    assert takes(free, beside) != takes(encoder, beside)


def test_a_target_may_be_told_instead_of_shown():
    encoder, tokenizer = clip()
    nurse, king, man = embedded(encoder, ["the nurse", FACT[0], "a man"], tokenizer=tokenizer)
    found = learn_value(encoder, *FACT, nurse[None], torch.stack([king, man]), tokenizer=tokenizer, at=FC2)
    new = edited(encoder, refact(encoder, *FACT, found.wanted, tokenizer=tokenizer, at=FC2))
    said = embedded(new, [FACT[0]], tokenizer=tokenizer)
    assert torch.cosine_similarity(said, torch.stack([king, nurse, man])).argmax() == 1


def test_targets_are_averaged_and_do_not_compete():
    encoder, tokenizer = clip()
    pair = draw(2, 12, seed=5)
    one, two, both = (search(encoder, tokenizer, pair[rows], steps=0).nll for rows in ([0], [1], [0, 1]))
    assert both == pytest.approx((one + two) / 2, abs=1e-12) and one != two


def test_kept_prompts_move_less_with_their_kl():
    encoder, tokenizer = clip()
    moved = []
    for weight in (0.0, 5.0):
        found = search(encoder, tokenizer, retain=["the nurse"], kl_weight=weight, steps=40, enough=0.0)
        now, was = (with_delta(encoder, tokenizer, "the nurse", 2, delta) for delta in (found.delta, 0 * found.delta))
        moved.append(float((now.exp() * (now - was)).sum().detach()))
    assert moved[1] < 0.5 * moved[0]


def test_delta_stays_in_its_ball_and_decays():
    encoder, tokenizer = clip()
    small, free = (search(encoder, tokenizer, clamp=clamp, steps=5) for clamp in (0.01, 100.0))
    assert float(small.delta.norm() / small.before.norm()) == pytest.approx(0.01, rel=1e-9)
    held = search(encoder, tokenizer, clamp=100.0, steps=5, weight_decay=100.0)
    assert free.delta.norm() > 2 * held.delta.norm() > 10 * small.delta.norm()


def test_the_scale_is_the_encoders_own_or_that_of_every_published_clip():
    encoder, tokenizer = clip()
    own = search(encoder, tokenizer, steps=0)
    assert own.nll == search(encoder, tokenizer, steps=0, scale=encoder.logit_scale.exp().item()).nll
    config = CLIPTextConfig(**{**encoder.config.text_config.to_dict(), "projection_dim": 12})
    alone = CLIPTextModelWithProjection(config).double().eval()
    alone.load_state_dict({k: v for k, v in encoder.state_dict().items() if k in alone.state_dict()})
    assert search(alone, tokenizer, steps=0).nll == search(encoder, tokenizer, steps=0, scale=100.0).nll != own.nll


def test_the_encoder_stays_as_it_is_and_gets_no_gradient():
    encoder, tokenizer = clip()
    before = {name: p.clone() for name, p in encoder.state_dict().items()}
    nll = search(encoder, tokenizer, steps=2).nll
    with torch.no_grad():
        assert search(encoder.train(), tokenizer, steps=2).nll == nll  # and there is no dropout
    assert encoder.training and all(p.grad is None for p in encoder.parameters())
    assert all(torch.equal(p, before[name]) for name, p in encoder.state_dict().items())


def test_what_it_cannot_do_is_refused():
    (encoder, tokenizer), (other, words) = clip(), t5()
    say = {"tokenizer": tokenizer, "at": FC2}
    with pytest.raises(ValueError, match=r"targets of shape \[1, 7\]: give at least one row, 12 wide .* CLIPModel"):
        learn_value(encoder, *FACT, draw(1, 7), draw(2, 7), **say)
    with pytest.raises(ValueError, match=r"others of shape \[0, 12\]: give at least one row"):
        learn_value(encoder, *FACT, draw(1, 12), draw(0, 12), **say)
    with pytest.raises(ValueError, match="'queen' is not in the prompt"):
        learn_value(encoder, FACT[0], "queen", draw(1, 12), draw(2, 12), **say)
    with pytest.raises(ValueError, match=r"no linear map of this CLIPModel matches .* did you mean"):
        learn_value(encoder, *FACT, draw(1, 12), draw(2, 12), tokenizer=tokenizer, at=FC2.replace("fc2", "fc3"))
    with pytest.raises(ValueError, match="a T5EncoderModel gives no embedding of a text"):
        learn_value(
            other, *FACT, draw(1, WIDE), draw(2, WIDE), tokenizer=words, at="encoder.block.0.layer.1.DenseReluDense.wo"
        )


def test_its_example_runs():
    assert doctest.testmod(importlib.import_module(learn_value.__module__)).failed == 0
