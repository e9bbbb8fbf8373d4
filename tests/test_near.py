import pytest

from clew.near import misspelt, near


def test_a_near_name_is_proposed():
    assert near("resd", ["resid", "attn"]) == "did you mean 'resid'?"


def test_where_none_is_near_the_known_are_told_but_not_all_of_many():
    assert near("q", ["resid", "attn"]) == "known: resid, attn"
    assert near("?", map(str, range(40))).endswith("29 and 10 more")


@pytest.mark.parametrize(
    "word", ["Hook_name", "hook_nam", "hook_namee", "hook_nbme", "hokok_name", "ook_name", "hook_naem"]
)
def test_a_word_that_is_one_letter_off_is_a_misprint(word):
    assert misspelt(word, ["architecture", "hook_name"]) == "hook_name"


@pytest.mark.parametrize("word", ["hook_name", "hook_point", "hook", "k", "use_encoder_bias"])
def test_other_words_are_other_words(word):
    assert misspelt(word, ["hook_name", "d", "use_decoder_bias"]) is None
