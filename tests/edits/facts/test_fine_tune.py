import pytest
import torch

from clew.data.facts.facts import Fact, Facts, answer_ids
from clew.edits.facts.fine_tune import fine_tune
from clew.models.likelihood import likelihoods
from tests.models.tiny import model_of

FACTS = Facts("two", (Fact("the {} said that", "old king", "good man"), Fact("in the {} said", "queen", "she")))


def test_the_targets_are_said_after_learning():
    model = model_of(dtype=torch.float64)
    stack = fine_tune(model, FACTS, lr=1e-2, enough=0.9)  # the logits of this model reach no further than 0.7
    said = likelihoods(model.edited(stack), [answer_ids(model.tokenizer, f.asked, f.target) for f in FACTS])
    assert stack.about["enough"] and all(found.greedy and -found.mean < 0.9 for found in said)
    assert [str(update.at) for update in stack] == ["down.0"] and stack[0].right is None


def test_weights_and_rank_are_as_asked():
    stack = fine_tune(model_of(), FACTS, weights=["out.0", "down.1"], rank=2, steps=2)
    assert [(str(u.at), u.left.shape[1]) for u in stack] == [("out.0", 2), ("down.1", 2)]
    assert not stack.about["enough"]


def test_nothing_to_learn_is_an_error():
    with pytest.raises(ValueError, match="nothing to learn"):
        fine_tune(model_of(), FACTS, enough=1e9)
