from clew.data.predicates.before import ECHO, WINDOW, previous, reach, view
from clew.data.text.tokenised import Tokenised

TEXT = Tokenised.of([["a", "b", "a", "c"], ["a", "a"]])


def test_a_token_sees_those_before_it_in_its_document():
    assert view(TEXT, "here").tolist() == [0, 1, 2, 3, 4, 5]
    assert view(TEXT, "1 before").tolist() == [-1, 0, 1, 2, -1, 4]
    assert view(TEXT, "3 before").tolist() == [-1, -1, -1, 0, -1, -1]


def test_a_token_sees_the_next_one_in_its_document():
    assert view(TEXT, "next").tolist() == [1, 2, 3, -1, 5, -1]


def test_what_followed_it_when_it_was_last_met():
    assert previous(TEXT).tolist() == [-1, -1, 0, -1, -1, 4]
    assert view(TEXT, ECHO).tolist() == [-1, -1, 1, -1, -1, 5]


def test_a_token_reaches_on_to_the_next_of_its_kind_or_the_end():
    assert reach(TEXT).tolist() == [2, 2, 1, 0, 1, 0]
    assert reach(Tokenised.of([[str(i) for i in range(2 * WINDOW)]])).tolist()[:2] == [WINDOW, WINDOW]


def test_a_text_without_tokens():
    assert view(Tokenised.of([]), ECHO).tolist() == reach(Tokenised.of([])).tolist() == []
