"""What a model thinks of answers that are given, against its own logits."""

import pytest
import torch

from clew import Add, Where
from clew.models import likelihood
from clew.models.likelihood import Likelihood, likelihoods, log_softmax, meeting, unmet
from clew.sites import RESPONSE
from tests.measures.bigram_model import ID, bigram_model, push, pushable
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


def test_an_empty_answer_is_refused():
    with pytest.raises(ValueError, match="question 0"):
        likelihoods(model_of("llama"), [((5,), ())])


def test_an_empty_prompt_is_refused_by_its_number():
    with pytest.raises(ValueError, match="question 1 has 0 tokens and its answer 2"):
        likelihoods(model_of("llama"), [((5,), (6,)), ((), (5, 6))])


def test_the_sum_and_the_mean_by_hand():
    found = Likelihood((-1.0, -3.0), (4, 5), False)
    assert (found.total, found.mean) == (-4.0, -2.0)


def test_many_questions_run_in_parts_and_come_back_in_their_order(monkeypatch):
    model = model_of("llama")
    posed = [((3 + i % 7, 4), (5 + i % 3,)) for i in range(9)]
    whole = likelihoods(model, posed)
    sizes = list[int]()
    run = type(model).run
    monkeypatch.setattr(type(model), "run", lambda self, ids, **how: sizes.append(len(ids)) or run(self, ids, **how))
    monkeypatch.setattr(likelihood, "tokens_at_once", lambda model: 2)
    parts = likelihoods(model, posed)
    assert sizes == [2, 2, 2, 2, 1]
    for one, other in zip(whole, parts, strict=True):
        assert one.log_p == pytest.approx(other.log_p, abs=1e-5) and one.top == other.top
    monkeypatch.setattr(likelihood, "tokens_at_once", lambda model: 0)  # one row, however long, always runs
    assert likelihoods(model, posed[:1])[0].top == whole[0].top


def test_no_question_no_run_and_no_gradient(monkeypatch):
    model = model_of("llama")
    assert likelihoods(model, []) == []
    monkeypatch.setattr(type(model), "run", lambda *given, **how: (_ for _ in ()).throw(AssertionError("ran")))
    assert likelihoods(model, []) == []


def test_which_edits_mean_no_position_depends_on_padding_and_on_where_the_prompt_ends():
    at, late, said = Add("resid.0", vector=torch.ones(32), where=Where.at(1)), RESPONSE, Where("token", (7,))
    edits = [at, *(Add("resid.0", vector=torch.ones(32), where=where) for where in (late, said))]
    tokens = torch.tensor([[5, 6, 8]])
    assert unmet(edits, tokens) == edits[1:]
    assert unmet(edits, tokens, prompt=2) == [edits[2]]
    padded = torch.tensor([[7, 7, 8]]), torch.tensor([[False, False, True]])
    assert unmet(edits, *padded) == edits  # what stands on padding is not said, and there is no second token


def test_log_p_is_taken_in_single_precision_or_better():
    half = torch.tensor([4.0, 4.0], dtype=torch.bfloat16)
    assert log_softmax(half).dtype == torch.float32 and log_softmax(half).tolist() == pytest.approx([-0.6931472] * 2)
    assert log_softmax(half.double()).dtype == torch.float64
