import pytest
import torch

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.facts.facts import Fact, Facts
from clew.data.text.windows import cut
from clew.edits.facts.canonical_examples import canonical_examples
from tests.models.tiny import model_of

FACTS = Facts("two", (Fact("the {} said that", "old king", "good man"), Fact("in the {} said", "queen", "she")))
TEXT = [
    "the queen was very good and he said that she was not a doctor .",
    "a nurse in red said that the king was old .",
]


def made(examples=FACTS, **options):
    model = model_of(dtype=torch.float64)
    text = cut(TEXT, model.tokenizer, context=16)
    return model, text, canonical_examples(model, examples, text=text, **{"lr": 1e-2, "steps": 150} | options)


def kl(model, edited, ids):
    before, now = (m.run(ids).logits.log_softmax(-1) for m in (model, edited))
    return float((before.exp() * (before - now)).sum(-1).mean())


def test_examples_come_to_succeed_and_no_further():
    _, _, stack = made()
    assert (stack.about["succeed before"], stack.about["succeed after"]) == (0.0, 1.0)
    assert stack.about["steps"] < 150  # it ends when all succeed


def test_what_is_held_moves_less_than_without_holding():
    model, text, held = made(hold=10.0, negatives=["the queen said"])
    free = made(hold=0.0)[2]
    alike = model.tokens("the queen said")[0]
    assert kl(model, model.edited(held), text.ids[0][None].long()) < kl(
        model, model.edited(free), text.ids[0][None].long()
    )
    assert kl(model, model.edited(held), alike) < kl(model, model.edited(free), alike)


def test_a_pair_succeeds_when_its_answer_beats_its_rival():
    pairs = (
        Pair("the king said", "the queen said", " he", " she"),
        Pair("the queen said", "the king said", " she", " he"),
    )
    model, _, stack = made(Behaviour("pronouns", pairs))
    he, she = (model.tokens(word)[0][0, 0] for word in ("he", "she"))
    logits = [model.edited(stack).run(pair.clean).logits[0, -1] for pair in pairs]
    assert stack.about["succeed after"] == 1.0
    assert logits[0][he] > logits[0][she] and logits[1][she] > logits[1][he]


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="success=1"):
        made(success=1.0)
    with pytest.raises(ValueError, match="succeed already"):
        made(success=1e-12)
