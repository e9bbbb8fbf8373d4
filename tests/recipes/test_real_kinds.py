"""The recipe of others' weights: atoms are matched by hand without a slip, and a text is the mean of its states."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.others import other

RECIPE = Path(__file__).parents[2] / "recipes" / "real_kinds.py"


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return runpy.run_path(str(RECIPE))


def test_atoms_of_a_product_are_matched_with_atoms_of_their_element(recipe: dict[str, Any]) -> None:
    for text, truth in recipe["REACTIONS"]:
        tokens = recipe["TOKEN"].findall(text)
        assert "".join(tokens) == text
        ids, before, after = recipe["reaction_ids"](text, {t: i for i, t in enumerate(["[CLS]", *tokens, "[SEP]"])})
        assert len(ids) == len(tokens) + 2 and len(after) == len(truth)
        for place, was in zip(after, truth, strict=True):
            assert {tokens[before[i] - 1] for i in was} == {tokens[place - 1]}


def test_a_text_is_the_mean_of_its_states_without_padding(recipe: dict[str, Any]) -> None:
    model = other("bert without a head")
    texts = ([5, 6, 7, 8], [9, 10])
    found = recipe["embedded"](model, texts)
    for row, text in zip(found, texts, strict=True):
        mean = model.body.module(input_ids=torch.tensor([text])).last_hidden_state[0].mean(0)
        assert torch.allclose(row, mean / mean.norm(), rtol=1e-6, atol=1e-8)
