"""Discrete codes: heads that change between clean and patch prompts speak, the others are silent."""

import numpy as np
import pytest
import torch
from torch import Tensor

from clew import Model, find
from clew.methods.weights.discrete_codes import _compared, _pairs, _share_of_new, _spoken, discrete_codes
from tests.planted import behaviour_of, random_behaviour, tiny_model


def shares(words: Tensor, n_clean: int) -> tuple[list[float], list[list[float]]]:
    again, elsewhere = _compared(words, n_clean)
    return _share_of_new(again.tril(-1).any(-1), elsewhere.any(-1)).tolist(), _pairs(again, elsewhere).tolist()


def test_words_are_counted_by_hand() -> None:
    """Three clean prompts, then two patch prompts: of the words 4, 4, 7 one is new; of 1, 2, 3 all are."""
    words = torch.tensor([[4, 1], [4, 2], [7, 3], [4, 9], [5, 9]])
    assert shares(words, 3)[0] == [1 / 2, 1.0]


def test_two_heads_may_say_together_what_neither_says_alone() -> None:
    words = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0]])  # the same word on clean prompts, different ones on patch
    score, weight = shares(words, 2)
    assert score == [0.0, 0.0]
    assert weight == [[0.0, 1.0], [1.0, 0.0]]


def test_planted_heads_speak_and_the_others_do_not() -> None:
    """Ten heads with as many states as prompts; only those of the first three depend on clean or patch."""
    g = torch.Generator().manual_seed(0)
    noise, signal = torch.randn(8, 10, 16, generator=g), torch.randn(2, 1, 3, 16, generator=g)
    clean, patch = noise.clone(), noise.clone()
    clean[:, :3] = signal[0] + 0.1 * noise[:, :3]
    patch[:, :3] = signal[1] + 0.1 * noise[:, :3]
    again, elsewhere = _compared(_spoken(clean, patch, 64, 0.1, 0), 8)
    score = _share_of_new(again.tril(-1).any(-1), elsewhere.any(-1))
    assert (score[:3] == 1).all()
    assert (score[3:] == 0).all()


def planted_model() -> Model:
    """GPT-2 in which only heads 1 and 2 of the first layer carry values."""
    model = tiny_model("gpt2")
    for layer in range(3):
        weight = model.body.module.get_submodule(f"transformer.h.{layer}.attn.c_attn").weight
        with torch.no_grad():
            weight[:, 64:] *= torch.tensor([layer == 0 and head in (1, 2) for head in range(4)]).repeat_interleave(8)
    return model


def test_heads_that_carry_nothing_score_exactly_0() -> None:
    tokens = torch.randint(3, 97, (6, 4), generator=torch.Generator().manual_seed(0))
    clean, patch = tokens.clone(), tokens.clone()
    clean[:, 1], patch[:, 1] = 5, 50
    behaviour = behaviour_of(clean, patch, torch.arange(5, 11), torch.arange(20, 26))
    found = discrete_codes(planted_model(), behaviour, position=1)
    assert len(found) == 12
    assert found.score[[1, 2]].min() > 0.5
    assert found.score[[0, *range(3, 12)]].max() == 0


def test_before_the_difference_no_head_speaks() -> None:
    """The prompts differ at position 1 and attention looks back, so at position 0 all is the same."""
    found = discrete_codes(tiny_model("llama"), random_behaviour(), position=0, edges=True)
    assert not found.score.any()
    assert not len(found.weight)
    assert discrete_codes(tiny_model("llama"), random_behaviour()).score.any()


def test_a_head_speaks_the_same_at_the_same_seed_and_edges_run_forward() -> None:
    model, behaviour = tiny_model("qwen3"), random_behaviour(6)
    first, second = (find(model, behaviour, by="discrete_codes", edges=True, position=-1) for _ in range(2))
    assert np.array_equal(first.score, second.score) and np.array_equal(first.weight, second.weight)
    assert ((first.score >= 0) & (first.score <= 1)).all() and ((first.weight > 0) & (first.weight <= 1)).all()
    assert len(first.weight) and (first.site[first.source] < first.site[first.target]).all()
    assert first.keys() == [(f"head.{layer}", head, -1) for layer in range(3) for head in range(4)]


def test_what_cannot_be_compared_is_refused() -> None:
    model, behaviour = tiny_model("gpt2"), random_behaviour()
    with pytest.raises(ValueError, match="no patch prompts"):
        discrete_codes(model, behaviour.without_patches())
    with pytest.raises(ValueError, match="no position"):
        discrete_codes(model, behaviour, position=4)
