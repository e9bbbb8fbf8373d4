import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

import clew
from clew.data.facts.spans import last_of


def byte_level(*merges: str) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes (a space is Ġ) and of these merges, each made of two known tokens."""
    pairs = [tuple(merge.split("+")) for merge in merges]
    tokens = sorted(set(ByteLevel.alphabet()) | {a + b for a, b in pairs})
    inner = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, pairs))
    inner.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=inner)


def test_the_last_token_of_words_is_found_by_characters():
    tokenizer = byte_level("Ġ+a", "Ġa+b")  # "x ab y" is x, Ġab, Ġ, y
    assert last_of(tokenizer, "x ab y", "ab") == 1


def test_words_cut_otherwise_than_alone_are_found():
    tokenizer = byte_level("b+c", "a+bc")  # "ab" alone is a, b; in "xabc" it ends inside the token abc
    assert tokenizer.convert_ids_to_tokens(tokenizer("xabc d")["input_ids"])[:2] == ["x", "abc"]
    assert last_of(tokenizer, "xabc d", "ab") == 1


def test_words_at_the_start_and_of_many_tokens_are_found():
    assert last_of(byte_level(), "New York is", "New York") == 7


def test_words_of_many_bytes_are_found_at_their_last_byte():
    assert last_of(byte_level(), "Côté d", "Côté") == 5  # ô and é are two bytes each


def test_a_whole_word_goes_before_a_later_part_of_one():
    assert last_of(byte_level(), "Iran is Iranian", "Iran") == 3
    assert last_of(byte_level(), "Iran and Iran is", "Iran") == 12


def test_absent_words_are_an_error_that_shows_both():
    with pytest.raises(ValueError, match="'Spain' is not in the prompt 'in France'"):
        last_of(byte_level(), "in France", "Spain")
    with pytest.raises(ValueError, match="not in the prompt"):
        last_of(byte_level(), "in France", " ")


@pytest.mark.real
def test_each_country_ends_where_its_name_does():
    tokenizer = clew.open("smollm2-135m").tokenizer
    for country in ("France", "South Korea", "Mozambique"):
        for prompt in (f"{country} is", f"The capital of {country} is", f"({country}'s flag)"):
            at = last_of(tokenizer, prompt, country)
            ids = tokenizer(prompt)["input_ids"]
            assert country in tokenizer.decode(ids[: at + 1])
            assert country not in tokenizer.decode(ids[:at])
