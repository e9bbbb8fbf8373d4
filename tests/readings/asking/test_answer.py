from dataclasses import replace

import pytest

from clew.evidence import Message
from clew.readings.asking.answer import Answer, Continuation, Question, Token, key_of

SOFT = Answer("1", (Token("1", -0.25, (("1", -0.25), ("0", -1.5))),), 4, 1)
ASKED = Question((Message("user", "Hello?"),), 9)


@pytest.mark.parametrize("answer", [SOFT, Answer(""), Answer("Ω\u2028\n", (), 0, 0)])
def test_it_comes_back_as_it_was(answer):
    assert Answer.from_json(answer.to_json()) == answer


@pytest.mark.parametrize(
    ("change", "message"),
    [({"text": 1}, "text is 1"), ({"tokens": [["a", 1.0]]}, r"tokens\[0\] has 2 entries"), ({"read": -1}, "at least 0"),
     ({"tokens": [["a", "b", []]]}, "a finite number"), ({"more": 1}, "'more'"), ({"tokens": [["a", 1.0, [["b"]]]]}, "due")],
)  # fmt: skip
def test_what_is_none_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Answer.from_json(SOFT.to_json() | change, "a.json")


def test_whatever_an_answer_depends_on_is_in_its_key():
    asked = [
        ASKED,
        replace(ASKED, max_tokens=8),
        replace(ASKED, top=5),
        replace(ASKED, messages=(Message("system", "Hello?"),)),
    ]
    asked += [Continuation("Hello", "?"), Continuation("Hello?", "")]
    assert len({key_of(who, question) for who in ("one", "other") for question in asked}) == 2 * len(asked)
    assert key_of("one", ASKED) == key_of("one", replace(ASKED, usual="Hi."))


def test_log_p_of_all_is_the_sum():
    assert Answer("ab", (Token("a", -1.0), Token("b", -2.0))).log_p == -3 and SOFT.log_p == -0.25


def test_how_long_a_question_is():
    assert (len(ASKED), len(Continuation("ab", "c"))) == (6, 3)
