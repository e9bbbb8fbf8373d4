"""What a model thinks of given tokens, against its own logits."""

import pytest
import torch

from clew import Add, Where
from clew.models.likelihood import likelihoods, meeting
from clew.readings.likelihood import documents, next_tokens, predictions
from clew.sites import RESPONSE
from tests.measures.bigram_model import ID, bigram_model, push, pushable, text
from tests.models.tiny import model_of

POSED = [((5, 6, 7), (8, 9)), ((5, 6), (10,)), ((9, 8, 7), (6, 5)), ((4,), (5, 6, 7))]


def by_hand(model, asked, answer):
    log_p = model.run(torch.tensor([[*asked, *answer]])).logits[0].float().log_softmax(-1)
    return [float(log_p[len(asked) + i - 1, token]) for i, token in enumerate(answer)]


def test_answers_are_judged_token_by_token_in_the_order_given():
    model = model_of("llama")
    for (asked, answer), found in zip(POSED, likelihoods(model, POSED), strict=True):
        assert found.log_p == pytest.approx(by_hand(model, asked, answer), abs=1e-5)
        assert found.total == pytest.approx(2 * found.mean) or len(answer) != 2
        assert found.greedy is (found.top == tuple(answer))


def test_the_answer_is_the_response_and_the_prompt_ends_before_it():
    model = pushable(bigram_model({}), "Rome")
    posed = [((ID["is"], ID["in"]), (ID["Rome"], ID["Rome"]))]
    (bare,) = likelihoods(model, posed)
    (at_end,) = likelihoods(model.edited(push("Rome", 4.0, Where.at(-1))), posed)
    (later,) = likelihoods(model.edited(push("Rome", 4.0, RESPONSE)), posed)
    assert at_end.log_p[0] > bare.log_p[0] and at_end.log_p[1] == bare.log_p[1]
    assert later.log_p[0] == bare.log_p[0] and later.log_p[1] == at_end.log_p[0]


def test_an_edit_of_another_prompt_is_left_out_of_the_run():
    model = pushable(bigram_model({}), "Rome")
    edited = model.edited(push("Rome", 4.0, Where("token", (ID["France"],))), Add("resid.0", vector=torch.ones(32)))
    assert len(meeting(edited, torch.tensor([[ID["Spain"]]])).edits) == 1
    assert meeting(edited, torch.tensor([[ID["France"]]])) is edited


def test_running_text_is_predicted_where_it_counts():
    model = bigram_model({"of": {"France": 3.0}})
    windows = text(model, "the capital of France", "in Rome")
    (batch,) = windows.batches()
    assert next_tokens(batch).tolist() == [ID["capital"], ID["of"], ID["France"], ID["Rome"]]
    assert documents(batch).tolist() == [0, 0, 0, 1]
    row = predictions(model, batch)[2]
    assert float(row.exp().sum()) == pytest.approx(1.0) and int(row.argmax()) == ID["France"]


def test_an_empty_answer_is_refused():
    with pytest.raises(ValueError, match="question 0"):
        likelihoods(model_of("llama"), [((5,), ())])
