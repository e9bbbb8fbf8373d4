import math

import pytest

from clew.changes import Scale
from clew.evidence import Message
from clew.models.likelihood import likelihoods
from clew.readings.asking.answer import Answers, Continuation, Question
from clew.readings.asking.local import Local
from tests.models.tiny import chatting, model_of

ASKED = Question((Message("system", "the nurse said"), Message("user", "the old king")), max_tokens=4, top=3)


def test_it_answers_greedily_and_alike_each_time():
    model = model_of()
    one, two = (Local(model).chat(ASKED) for _ in range(2))
    assert one == two and one.read == 6 and 1 <= one.written <= 4 and isinstance(Local(model), Answers)
    prompt = model.tokenizer("the nurse said the old king")["input_ids"]
    written = model.generate([prompt], max_new_tokens=4).tokens[0, 6:]
    assert one.text == model.tokenizer.decode(written, skip_special_tokens=True)


def test_log_p_is_that_of_the_tokens_and_of_the_likeliest():
    answer = Local(model_of()).chat(ASKED)
    for token in answer.tokens:
        assert token.top[0] == (token.text, pytest.approx(token.log_p)) and len(token.top) == 3
        assert token.top[0][1] >= token.top[1][1] >= token.top[2][1] and token.log_p <= 0
    assert Local(model_of()).chat(Question(ASKED.messages, 4)).tokens is None


def test_a_chat_is_written_by_the_template():
    model = chatting()
    answer = Local(model).chat(Question((Message("user", "the old king"),), 3))
    rendered = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": "the old king"}], tokenize=True, add_generation_prompt=True, return_dict=False
    )
    assert answer.read == len(rendered)


def test_a_text_is_judged_as_likelihoods_have_it():
    model = model_of()
    answer = Local(model).judge(Continuation("the old", " king said"))
    (by_hand,) = likelihoods(
        model, [(model.tokenizer("the old")["input_ids"], model.tokenizer("king said")["input_ids"])]
    )
    assert answer.log_p == pytest.approx(by_hand.total) and len(answer.tokens) == 2 and math.isfinite(answer.log_p)


def test_other_weights_are_another_model():
    assert Local(model_of()).identity == Local(model_of()).identity != Local(model_of("gpt2")).identity
    assert Local(model_of()).name == "tiny llama" and Local(model_of()).width == 1


def test_one_with_edits_is_not_asked():
    model = model_of()
    edited = model.edited(Scale("resid.0", factor=2.0))
    with pytest.raises(ValueError, match="edits in force"):
        Local(edited)
