"""A space stands between a prompt and its answer where people write one."""

import pytest

from clew.data.facts.facts import answer_ids
from clew.data.text.spaces import space_between
from clew.models.tokens import ids_of
from tests.models.tiny import chatting_tokenizer, word_tokenizer

APART = [
    ("The capital of France is", "Paris"),
    ("He said:", "yes"),
    ('He said "yes" and', "left"),
    ('He said "yes"', "loudly"),
    ("the dogs'", "bowl"),
    ("The year is", "1999"),
    ("서울은", "한국의"),
    ("Столица России —", "Москва"),
    ("In English, 東京 is", "Tokyo"),
    ("A list (of names)", "follows"),
    ("It is", "(almost) done"),
    ("The word for cat is", "猫"),
]
TOGETHER = [
    ("", "Paris"),
    ("ends in a space ", "Paris"),
    ("no", " Paris"),
    ("日本の首都は", "東京"),
    ("中国的首都是", "北京"),
    ("中国的首都是:", "北京"),
    ("他说“", "好"),
    ("首都是", "Paris"),
    ("กรุงเทพเป็นเมืองหลวงของ", "ไทย"),
    ("He said “", "yes"),
    ('He said "', "yes"),
    ("He called it '", "art"),
    ('("', "yes"),
    ("«", "oui"),
    ("It costs $", "5"),
    ("https://", "example.org"),
    ("a well-", "known"),
    ("He paused—", "then left"),
    ("The end", "."),
    ("(an aside", ")"),
]


@pytest.mark.parametrize(("prompt", "answer"), APART)
def test_words_stand_apart(prompt, answer):
    assert space_between(prompt, answer) == " "


@pytest.mark.parametrize(("prompt", "answer"), TOGETHER)
def test_what_is_written_without_a_space_gets_none(prompt, answer):
    assert space_between(prompt, answer) == ""


def test_an_answer_follows_a_special_token_at_once():
    assert space_between("the king<eos>", "he", ["<bos>", "<eos>"]) == ""
    asked, answer = answer_ids(chatting_tokenizer(), "the king <eos>", "he")
    assert asked == ids_of(chatting_tokenizer(), "the king <eos>") and answer == ids_of(word_tokenizer(), "he")
