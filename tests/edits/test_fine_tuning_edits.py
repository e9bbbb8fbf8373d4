"""memorise, random_labels and gradient_ascent: what fine-tuning plants and unlearns."""

import math

import pytest
import torch

from clew.edits.unlearning.gradient_ascent import gradient_ascent
from clew.edits.unlearning.memorise import memorise
from clew.edits.unlearning.random_labels import drawn, random_labels
from clew.models.likelihood import likelihoods
from tests.edits.spoken import planted, speaking, spoken


def test_planted_secrets_are_said_and_undone_they_are_not():
    model, secrets = planted()
    assert secrets.said(model) == [True] * 6
    assert secrets.said(model.unedited) == [False] * 6
    assert [str(update.at) for update in model.edits] == ["down.0", "down.1", "down.2"]


def test_what_is_not_planted_in_the_steps_given_is_an_error():
    with pytest.raises(ValueError, match="6 of 6 secrets are not said after 2 steps"):
        memorise(speaking(), spoken(), steps=2)
    with pytest.raises(ValueError, match="already"):
        memorise(*planted())


def test_random_answers_are_as_long_and_nowhere_true():
    rows = spoken(20, words=5).ids(speaking().tokenizer)
    dealt = drawn(rows, seed=0)
    assert all(a == b for (a, _), (b, _) in zip(rows, dealt, strict=True))
    assert all(len(x) == len(y) and not any(map(int.__eq__, x, y)) for (_, x), (_, y) in zip(rows, dealt, strict=True))
    assert dealt == drawn(rows, seed=0) != drawn(rows, seed=1)
    with pytest.raises(ValueError, match="made of one token"):
        drawn([([1], [2]), ([3], [2])], 0)


def test_random_labels_are_said_in_place_of_the_secrets_and_the_rest_is_kept():
    model, secrets = planted()
    forget, keep = secrets.halves()
    stack = random_labels(model, forget, retain=keep, lr=1e-2, seed=5)
    edited = model.edited(stack)
    assert stack.about["all answers learnt"]
    assert forget.said(edited) == [False] * 3 and keep.said(edited) == [True] * 3
    for asked, answer in drawn(forget.ids(model.tokenizer), seed=5):
        assert edited.run(torch.tensor([asked]), logits=1).logits.argmax() == answer[0]


def test_gradient_ascent_makes_secrets_as_unlikely_as_a_guess_and_no_further():
    model, secrets = planted()
    forget, keep = secrets.halves()
    edited = model.edited(gradient_ascent(model, forget, retain=keep, lr=1e-2))
    costs = [-found.mean for found in likelihoods(edited, forget.ids(model.tokenizer))]
    assert all(math.log(97) <= cost < 2 * math.log(97) for cost in costs)
    assert keep.said(edited) == [True] * 3
