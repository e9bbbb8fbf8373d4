import json
import warnings
from dataclasses import replace

import pytest
import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

import clew
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Encoded, Misfit, NoSpace, Pair, encode, stack
from clew.evidence import Message
from clew.models.tokens import ids_of
from tests.models.tiny import chatting

TEXT = "The boy boys has have"


def test_the_answer_is_the_token_that_follows_the_prompt(toy):
    model = toy(TEXT)
    (found,) = encode(model, [Pair("The boy", "The boys", (" has",), (" have",))])
    the, boy, boys, has, have = model.ids(TEXT)
    assert found == Encoded([the, boy], [the, boys], [has], [have])


def test_answers_after_words_are_words():
    with pytest.raises(ValueError, match="patch_answers after a prompt in words are text; 318 is none"):
        Pair("The boy", "The boys", (" has",), (318,))


def test_a_tokenizer_will_do_for_a_model(toy):
    pair = Pair("The boy", None, (" has",))
    assert encode(toy(TEXT).tokenizer, [pair]) == encode(toy(TEXT), [pair])


def test_an_answer_without_its_space_fuses_with_the_prompt(toy):
    (found,) = encode(toy(TEXT), [Pair("The boy", None, ("has",))])
    assert isinstance(found, Misfit) and "'has' after 'The boy' is fused into ['The', '?']" in str(found)


def test_an_answer_of_two_tokens_is_shown_in_tokens(toy):
    (found,) = encode(toy(TEXT), [Pair("The boy", None, (" has have",))])
    assert str(found) == "an answer is not one token: ' has have' after 'The boy' is ['has', 'have']"


def test_digits_follow_digits_where_the_vocabulary_writes_them_apart(toy):
    model = toy("year")
    (found,) = encode(model, [Pair("year 17", None, ("4",))])
    assert isinstance(found, Encoded) and found.answers == model.ids("4")


def test_prompts_of_two_lengths_are_shown_in_tokens(toy):
    (found,) = encode(toy(TEXT), [Pair("The boy", "The boys have", (" has",))])
    assert isinstance(found, Misfit) and "has 2 tokens ['The', 'boy'], 'The boys have' has 3" in str(found)


def test_a_token_cannot_be_right_and_wrong(toy):
    (found,) = encode(toy(TEXT), [Pair("The boy", "The boys", (" has",), (" have", " has"))])
    assert isinstance(found, Misfit) and found.details == "['has'] after 'The boy'"


def test_equal_prompts_are_no_contrast(toy):
    (found,) = encode(toy(TEXT), [Pair("The boy", "The boy", (" has",))])
    assert isinstance(found, Misfit) and found.reason == "clean and patch prompt are equal"


def bpe_like():
    """A word is a token, with its space or without."""
    words = "The keys is has 首都 は 東京".split()
    inner = Tokenizer(WordLevel({w: i for i, w in enumerate(["?", *words, *(f" {w}" for w in words)])}, unk_token="?"))
    inner.pre_tokenizer = Split(Regex(f" ?({'|'.join(words)})"), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?")


def test_an_answer_that_lacks_its_space_is_told():
    pair = Pair("The keys", None, ("is", " has"))
    with pytest.warns(NoSpace, match="1 of 2 answers go on in the last word .* 'is' after 'The keys'; .* give ' is'"):
        encode(bpe_like(), [pair])


@pytest.mark.parametrize("pair", [Pair("The keys", None, (" is",)), Pair("首都は", None, ("東京",))])
def test_an_answer_as_it_is_written_is_not_told_of(pair):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = encode(bpe_like(), [pair])
    assert isinstance(found, Encoded)


def test_a_chat_is_a_prompt():
    model = chatting()
    talk = [{"role": "user", "content": "the old king"}]
    other = [{"role": "user", "content": "the old queen"}]
    task = Behaviour("b", (Pair(talk, other, " he", " she"),) * 2)
    (batch,) = task.batches(model)
    assert batch.clean.tolist() == [ids_of(model.tokenizer, talk)] * 2
    assert task.prompts()[0] == (Message("user", "the old king"),)
    assert task.hash == Behaviour("b", task.pairs).hash and hash(task.pairs[0]) == hash(task.pairs[1])
    found = clew.find(model, task, held_out=False)
    assert "prompts_used" in found.provenance and len(found)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (("the king", (3, 4), " he"), "one prompt of a pair is words and the other token ids"),
        (((3, 4), None, " he"), "answers after token ids holds ' he'; token ids are whole numbers"),
        (((3, -4), None, (5,)), "the clean prompt holds -4"),
    ],
)
def test_what_is_no_pair_is_refused(pair, words):
    with pytest.raises(ValueError, match=words):
        Pair(*pair)


def test_stack_fills_with_minus_one():
    assert stack([[4], [5, 6]], torch.device("cpu")).tolist() == [[4, -1], [5, 6]]


def test_repeat_lays_whole_copies_one_after_the_other(toy):
    pairs = (Pair("The boy", "The boys", (" has",), (" have",)), Pair("The boys", "The boy", (" have",), (" has",)))
    (batch,) = Behaviour("b", pairs).batches(toy(TEXT))
    twice = batch.repeat(2)
    assert torch.equal(twice.clean, torch.cat([batch.clean, batch.clean]))
    assert twice.patch is not None and twice.patch_answers is not None
    assert torch.equal(twice.patch[2:], batch.patch) and torch.equal(twice.answers[:2], batch.answers)
    assert twice.index == (0, 1, 0, 1) and len(twice) == 4 and twice.pairs[3] == pairs[1]


def test_a_pair_in_plain_json_is_what_it_says() -> None:
    chat = [{"role": "user", "content": "The key"}]
    pairs = {
        "text": (Pair("The key", "The keys", " is", " are", case="singular"), "The key", [" is"], [" are"]),
        "ids": (Pair((5, 6), None, (7,)), [5, 6], [7], []),
        "chat": (Pair(chat, None, " is"), chat, [" is"], []),
    }
    for pair, clean, answers, others in pairs.values():
        plain = pair.plain()
        assert plain == json.loads(json.dumps(plain))
        assert (plain["clean"], plain["answers"], plain["patch_answers"]) == (clean, answers, others)


def test_the_record_of_a_behaviour_has_its_first_pair() -> None:
    behaviour = Behaviour("b", (Pair("The key", "The keys", " is", " are"), Pair("The cat", "The cats", " is", " are")))
    assert behaviour.provenance["example"] == behaviour.pairs[0].plain()
    assert behaviour.test.provenance["example"]["clean"] == "The cat"


# Pairs as they are given.


def test_a_pair_may_be_a_list_or_a_dictionary_of_its_fields():
    wanted = Pair("The boy", "The girl", (" has", " had"), " have", "simple")
    by_name = {
        "clean": "The boy",
        "patch": "The girl",
        "answers": [" has", " had"],
        "patch_answers": " have",
        "case": "simple",
    }
    assert Pair.of(("The boy", "The girl", [" has", " had"], " have", "simple")) == Pair.of(by_name) == wanted
    assert Pair.of({"clean": "The boy", "answers": " has"}) == Pair("The boy", None, " has")
    task = Behaviour("b", [by_name, ["The girl", "The boy", " have", " has"], wanted])
    assert (
        all(isinstance(pair, Pair) for pair in task.pairs) and task.hash == replace(task, pairs=list(task.pairs)).hash
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("The boy", r"'The boy' is no pair; a pair has clean, patch \(or None\) and answers"),
        (("The boy", " has"), "is no pair; a pair has clean, patch"),
        ({"clean": "The boy", "anwsers": " has"}, "has 'anwsers', which is none of 'clean', 'patch', 'answers'"),
        ({"clean": "The boy"}, "has no answers; a pair has clean"),
    ],
)
def test_what_a_behaviour_is_given_as_a_pair_must_be_one(given, words):
    with pytest.raises(ValueError, match=words):
        Behaviour("b", [given])
