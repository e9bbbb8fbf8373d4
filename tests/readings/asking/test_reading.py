import math

import pytest

from clew.readings.asking.answer import Answer, Token
from clew.readings.asking.reading import LONGEST, choice, flags, last_line, numbers


@pytest.mark.parametrize(
    ("text", "said"),
    [("[1, 0, 1]", [1, 0, 1]), ("Sure! [0,1,1].", [0, 1, 1]), ("[0, 0, 0] no: [1, 1, 0]", [1, 1, 0]),
     ("[1, 0]", [1, 0, None]), ("[1, 0, 1, 1]", [None] * 3), ("[1, 2, 0]", [None] * 3), ("[]", [None] * 3),
     ("1 0 1", [None] * 3), ("", [None] * 3), ("[1, 0, ", [None] * 3), ("[yes, no, yes]", [None] * 3),
     ("[1.0, 0, 1]", [None] * 3), ("[[1, 0, 1]]", [1, 0, 1])],
)  # fmt: skip
def test_digits_of_a_list_and_nothing_else(text, said):
    assert flags(Answer(text), 3) == said


def token(word, one, zero, *more):
    top = ((word.replace("0", "1"), math.log(one)), (word.replace("1", "0"), math.log(zero)), *more)
    return Token(word, math.log(one if "1" in word else zero), top)


def test_a_probability_is_that_of_the_one_against_the_zero():
    tokens = (
        Token("[", -0.1),
        token("1", 0.6, 0.2, ("x", -3.0)),
        Token(",", 0.0),
        token(" 0", 0.1, 0.9),
        Token("]", 0.0),
    )
    assert flags(Answer("[1, 0]", tokens), 2) == [pytest.approx(0.75), pytest.approx(0.1)]


def test_where_the_tokens_tell_no_digit_apart_the_digit_counts():
    whole = (Token("[1, 0]", -0.1, (("[1, 0]", -0.1),)),)
    others = (Token("something else", -0.1),)
    assert (
        flags(Answer("[1, 0]", whole), 2)
        == flags(Answer("[1, 0]", others), 2)
        == flags(Answer("[1, 0]", ()), 2)
        == [1, 0]
    )


def test_tokens_around_the_text_are_looked_over():
    tokens = (Token("<think>", 0.0), Token("[", 0.0), token("1", 0.9, 0.1), Token("]", 0.0), Token("<end>", 0.0))
    assert flags(Answer("[1]", tokens), 1) == [pytest.approx(0.9)]


@pytest.mark.parametrize(
    ("text", "said"),
    [("[0, 10, 2.5]", [0, 10, 2.5]), ("[0, 11, 2]", None), ("[0, 1]", None), ("[0, 1, -2]", None), ("[a, b, c]", None),
     ("", None), ("[0, 1, 2, 3]", None)],
)  # fmt: skip
def test_a_list_of_numbers_is_whole_or_none(text, said):
    assert numbers(Answer(text), 3, 10) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3", 3),
        ("Text 3.", 3),
        ("It is 3, surely 3", 3),
        ("2 or 3", None),
        ("6", None),
        ("0", None),
        ("", None),
        ("3.5", None),
    ],
)
def test_a_choice_is_one_number(text, said):
    assert choice(Answer(text), 5) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [("They are.\nSAID: rivers", "rivers"), ("SAID: a\nSAID: b\n", "b"), ("**SAID:** 'rivers'", "rivers"),
     ("rivers", "rivers"), ("I see\nrivers", None), ("", None), ("SAID:", None), ("SAID:  ", None), ("SAID: a\tb", "a b")],
)  # fmt: skip
def test_the_line_after_the_mark(text, said):
    assert last_line(Answer(text), "SAID:") == said


def test_a_line_is_cut():
    assert len(last_line(Answer("SAID: " + "x" * 9999), "SAID:")) == LONGEST
