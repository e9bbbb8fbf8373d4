import numpy as np
import pytest

from clew.explain._said import shown
from clew.readings.asking.answer import Answer, Token
from clew.readings.asking.prose import AT_ONCE, Prose
from clew.readings.said import UNKNOWN, InWords
from clew.readings.unseen import Explanation
from tests.explain.known import known, truth, unit, unseen
from tests.explain.reader import garbled, perfect
from tests.readings.asking.scripted import scripted


def texts(n=23):
    return [shown(known().table.text, unseen().tokens(w)) for w in range(n)]


def test_every_text_is_asked_about_once_and_answers_come_back_to_their_texts():
    asks = perfect()
    said = Prose("months", asks=asks).fires_in(texts())
    by_hand = [(truth(unit("months"))(known().table)[unseen().tokens(w)] > 0).any() for w in range(23)]
    assert said.fires.tolist() == said.score.tolist() == [float(x) for x in by_hand] and said.read.all()
    questions = asks.answers.asked[1:]  # the first tries for log-probabilities
    assert [q.messages[1].content.count("\nText ") for q in questions] == [AT_ONCE] * 4 + [3]
    assert isinstance(Prose("x", asks=asks), InWords) and isinstance(Prose("x", asks=asks), Explanation)


def test_texts_are_not_asked_in_the_order_in_which_they_are_given():
    asks = perfect()
    Prose("months", asks=asks).fires_in(texts())
    assert (
        texts()[0] not in asks.answers.asked[1].messages[1].content
        or texts()[1] not in asks.answers.asked[1].messages[1].content
    )


def test_what_cannot_be_read_is_neither_yes_nor_no_and_is_counted():
    asks = garbled()
    said = Prose("months", asks=asks).fires_in(texts())
    assert set(said.score) == set(said.fires) == {UNKNOWN} and not said.read.any() and asks.count.unread == 5


def test_a_short_list_loses_what_it_leaves_out_alone():
    asks = scripted(lambda q: "[1, 1]")
    said = Prose("months", asks=asks).fires_in(texts(10))
    assert said.read.sum() == 4 and set(said.fires[said.read]) == {1.0} and set(said.score[~said.read]) == {UNKNOWN}
    assert asks.count.unread == 2


def test_probabilities_are_scores_where_they_come():
    tokens = (Token("[", 0.0), Token("1", -0.5, (("1", -0.5), ("0", -1.5))), Token("]", 0.0))
    said = Prose("months", asks=scripted(lambda q: Answer("[1]", tokens)), at_once=1).fires_in(texts(2))
    assert said.score.tolist() == pytest.approx([1 / (1 + np.exp(-1.0))] * 2) and said.fires.tolist() == [1, 1]


def test_strengths_of_every_token():
    (one, two), read = Prose("months", asks=perfect()).strengths(pieces(2))
    assert len(one) == len(two) == 32 and read.all() and set(np.concatenate([one, two])) <= {0, 10}


def pieces(n):
    text = known().table.text
    return [[text.pieces[k] for k in text.kinds[unseen().tokens(w)]] for w in range(n)]


def test_strengths_that_cannot_be_read_are_the_mean_of_the_others():
    said = iter(["[10, 0]", "[10]"])
    asks = scripted(lambda q: next(said))
    (one, two), read = Prose("x", asks=asks).strengths([["a", "b"], ["c", "d"]])
    assert (one.tolist(), two.tolist(), read.tolist(), asks.count.unread) == ([10, 0], [5, 5], [True, False], 1)


def test_an_empty_one_asks_nothing_and_says_nothing():
    asks = garbled()
    empty = Prose("", asks=asks)
    assert not empty and empty.fires_in(texts(3)).fires.tolist() == [UNKNOWN] * 3 and not asks.answers.asked
    assert empty.fires_on(texts(3)).read is None and empty.strengths([["a"]])[0][0].tolist() == [0]


def test_it_predicts_a_whole_text_like_any_explanation():
    prose, rule = Prose("months", asks=perfect()), truth(unit("months"))
    predicted = prose(known().table)
    in_windows = np.concatenate([unseen().tokens(w) for w in range(len(unseen().starts))])
    assert ((predicted > 0) == (rule(known().table) > 0))[in_windows].all()


def test_two_of_the_same_words_are_one():
    assert Prose("a", asks=garbled()) == Prose("a", asks=perfect()) != Prose("a", -1, asks=perfect())
    assert str(Prose("a", -1, asks=perfect())) == "a (its negative side)" and "asks" not in repr(
        Prose("a", asks=perfect())
    )
