import pytest

from clew.studies.atlas.checkers import changed, counterparts, exchanged
from tests.models.tiny import WORDS, word_tokenizer


def test_the_end_stays_and_the_beginning_is_that_of_another():
    assert exchanged([1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], tail=2) == [6, 7, 8, 4, 5]
    assert exchanged([1, 2], [6, 7], tail=3) == [1, 2]
    with pytest.raises(ValueError, match="the other context has 2 tokens and this one 3"):
        exchanged([1, 2, 3], [6, 7])


def test_counterparts_go_both_ways_and_are_one_token_each():
    tokenizer = word_tokenizer()
    table = counterparts(tokenizer)
    ids = {word: tokenizer.convert_tokens_to_ids(word) for word in WORDS}
    assert table[ids["he"]] == ids["she"] and table[ids["she"]] == ids["he"]
    assert table[ids["king"]] == ids["queen"] and table[ids["man"]] == ids["woman"]
    assert all(table[table[i]] == i or table[i] in table for i in table) and ids["red"] not in table


def test_the_last_word_that_has_a_counterpart_is_changed():
    assert changed([5, 6, 5, 7], {5: 9}) == (2, [5, 6, 9, 7])
    assert changed([6, 7], {5: 9}) is None
