import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clew.models.tokens import by_length, ids_of, left_padded
from tests.models.tiny import word_tokenizer

ROWS = st.lists(st.lists(st.integers(1, 96), min_size=1, max_size=9), min_size=1, max_size=9)


def test_a_text_is_what_the_tokenizer_makes_of_it_and_ids_stay_as_they_are():
    tokenizer = word_tokenizer()
    assert ids_of(tokenizer, "the king") == tokenizer("the king")["input_ids"]
    assert ids_of(tokenizer, (7, 8)) == [7, 8]


def test_a_prompt_without_a_token_is_refused():
    with pytest.raises(ValueError, match=r"the prompt \(''\) has no tokens"):
        ids_of(word_tokenizer(), "")


@given(ROWS)
def test_padding_stands_on_the_left_and_takes_nothing_away(rows):
    ids, real = left_padded(rows)
    assert [ids[i][real[i]].tolist() for i in range(len(rows))] == rows
    assert not bool(ids[~real].any())
    assert bool((real.int().diff(dim=1) >= 0).all()) and bool(real[:, -1].all())


@given(ROWS)
def test_every_row_is_in_the_group_of_its_length(rows):
    groups = by_length(rows)
    assert sorted(i for _, index in groups for i in index) == list(range(len(rows)))
    assert all(len(rows[i]) == length for length, index in groups for i in index)
    assert [length for length, _ in groups] == sorted({len(row) for row in rows})
    assert torch.tensor([rows[i] for i in groups[0][1]]).shape == (len(groups[0][1]), groups[0][0])
