import numpy as np
import pytest
import torch

import clew
from clew.studies.atlas.contexts import Contexts, joined
from clew.studies.atlas.finding import contexts, contexts_in
from tests.models.tiny import chatting_tokenizer, module_of
from tests.stage import names

MODEL = names()["model"]
PARIS = "It rained all day . The capital of France is Paris ."


def windows(texts, context=16):
    return clew.cut(texts, MODEL.tokenizer, context=context, packing="documents")


def said(ids):
    return MODEL.tokenizer.decode(list(ids))


def test_a_place_is_kept_where_the_model_is_sure_and_right():
    found = contexts(MODEL, windows([PARIS]), length=5, loss=0.3, each="all")
    answers = {said([a]): said(found.prompt(i)) for i, a in enumerate(found.answer)}
    assert answers["Paris"] == "The capital of France is"
    losses = [
        -MODEL.run(ids[None], logits=1).logits[0, -1].log_softmax(-1)[a]
        for ids, a in zip(torch.from_numpy(found.ids), found.answer.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found.loss, losses, rtol=1e-5, atol=1e-7)
    assert (found.loss < 0.3).all() and found.counts["sure in so many tokens"] == len(found)
    everything = contexts(MODEL, windows([PARIS]), length=5, loss=0.0, right=False, each="all", repeated=True)
    assert len(everything) == everything.counts["judged"] == 12 - 5 and set(found.answer) < set(everything.answer)


def test_right_is_a_rule_of_its_own():
    told = contexts(MODEL, windows([PARIS]), length=5, loss=0.0, each="all")
    wrong = contexts(MODEL, windows([PARIS]), length=5, loss=0.0, right=False, each="all")
    assert told.counts["right"] < wrong.counts["right"] == wrong.counts["judged"]


def test_what_followed_the_last_token_before_is_left_out_unless_asked_for():
    text = windows(["The capital of Peru is Lima . It rained . The capital of Cuba is Lima ."], context=20)
    how = {"length": 12, "loss": 0.0, "right": False, "each": "all"}
    again, new = contexts(MODEL, text, repeated=True, **how), contexts(MODEL, text, **how)
    assert "Lima" in {said([a]) for a in again.answer} and "Lima" not in {said([a]) for a in new.answer}
    assert new.counts["not repeated"] < new.counts["right"] and again.counts["not repeated"] == again.counts["right"]


def test_one_of_each_document_one_of_each_window_or_all():
    text = windows([PARIS + " " + PARIS, PARIS], context=12)
    how = {"length": 4, "loss": 0.0, "right": False, "repeated": True}
    of_document, of_window, every = (contexts(MODEL, text, each=each, **how) for each in ("document", "window", "all"))
    assert sorted(of_document.document) == [0, 1] and len(of_window) == len(text) == 3 < len(every)
    assert np.array_equal(contexts(MODEL, text, each="window", seed=0, **how).ids, of_window.ids)
    assert len(contexts(MODEL, text, each="all", limit=2, **how)) == 2


def test_a_context_starts_as_the_tokenizer_starts_a_text():
    model = clew.open(module_of(), tokenizer=chatting_tokenizer())
    text = clew.cut(
        ["the old king said that the nurse was not very good ."], model.tokenizer, context=12, packing="documents"
    )
    found = contexts(model, text, length=4, loss=0.0, right=False, each="all", repeated=True)
    bos = model.tokenizer.bos_token_id
    assert (found.ids[:, 0] == bos).all() and not (found.ids[:, 1:] == bos).any()
    assert model.tokenizer.decode(found.prompt(0)[1:]) == "the old king" and len(found) == found.counts["judged"] == 8


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"loss": -1.0}, "kept below a number of nats above 0"),
        ({"limit": 0}, "how many contexts to find"),
        ({"length": 1}, "leaves 1 tokens of text"),
        ({"length": 99}, "the longest window has 12 tokens; windows are longer than contexts"),
        ({"loss": 1e-9, "length": 4}, "no place of this text is left by the rules"),
    ],
)
def test_what_there_cannot_be_is_said(given, wrong):
    with pytest.raises(ValueError, match=wrong):
        contexts(MODEL, windows([PARIS]), **given)


def test_parts_are_joined_and_none_is_no_error_in_a_part():
    rules = {"loss": 0.3, "right": True, "repeated": False, "each": "all", "length": 5}
    ids = [window.tolist() for window in windows([PARIS, "The keys"]).ids]
    whole, none = (contexts_in(MODEL, [one], [i], bos=False, seed=0, **rules) for i, one in enumerate(ids))
    assert len(none) == 0 and len(joined([none, whole])) == len(whole) > 0
    assert joined([Contexts.from_json(one.to_json()) for one in (whole, none)]).hash == whole.hash
    with pytest.raises(ValueError, match="no place of this text"):
        joined([none])
