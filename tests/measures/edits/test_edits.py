"""The random edits that serve as controls are exactly as large as what they stand beside."""

import math

import pytest
import torch

from clew import Add, Gate, Project, Scale, Set, Stack, Update, Where
from clew.data.facts.facts import Facts
from clew.measures.edits._edits import NoTwin, mean_row, product_norm, prompts_of, random_twin, random_twins
from clew.probing import Probe
from tests.measures.bigram_model import bigram_model, text
from tests.planted import random_behaviour, tiny_model

MODEL = tiny_model("llama")


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def twin(edit, seed=0):
    return random_twin(MODEL, Stack((edit,)), seed)[0]


def test_a_random_direction_has_the_same_norm_place_strength_and_gate():
    edit = Add("resid.1", vector=draw(32), scale=3.0, where=Where.at(-1), gate=Gate(Probe("resid.1", draw(32))))
    other = twin(edit)
    assert float(other.vector.norm()) == pytest.approx(float(edit.vector.norm()), rel=1e-14)
    assert abs(float(torch.cosine_similarity(other.vector, edit.vector, dim=0))) < 0.6
    assert (other.at, other.scale, other.where, other.gate) == (edit.at, edit.scale, edit.where, edit.gate)


def test_each_row_of_several_keeps_its_norm():
    edit = Add("resid.1", vector=draw(2, 5, 32))
    assert torch.allclose(twin(edit).vector.norm(dim=-1), edit.vector.norm(dim=-1), rtol=1e-14)


@pytest.mark.parametrize("right", [draw(3, 48), None])
def test_random_factors_have_the_same_rank_and_frobenius_norm(right):
    edit = Update("down.1", left=draw(32, 3 if right is not None else 48), right=right, scale=0.5)
    other = twin(edit)
    assert float(other.change.norm()) == pytest.approx(float(edit.change.norm()), rel=1e-13)
    assert torch.linalg.matrix_rank(other.change) == torch.linalg.matrix_rank(edit.change)


def test_the_norm_of_a_product_is_had_from_its_factors():
    left, right = draw(7, 3), draw(3, 9)
    assert product_norm(left, right) == pytest.approx(float((left @ right).norm()), rel=1e-14)
    assert product_norm(left, None) == float(left.norm())


def test_edits_of_units_get_as_many_other_units():
    edit = Scale("neuron.1", factor=0.0, units=(3, 5, 7))
    other = twin(edit)
    assert len(set(other.units)) == 3 and not set(other.units) & {3, 5, 7} and max(other.units) < 48


def test_as_many_random_directions_are_projected_out():
    edit = Project("resid.0", directions=draw(2, 32))
    assert twin(edit).directions.shape == (2, 32)
    assert not torch.equal(twin(edit).directions, edit.directions)


def test_a_twin_is_told_by_its_seed():
    edit = Add("resid.1", vector=draw(32))
    assert torch.equal(twin(edit, 4).vector, twin(edit, 4).vector)
    assert not torch.equal(twin(edit, 4).vector, twin(edit, 5).vector)


def test_what_has_no_twin_says_so():
    stack = Stack((Set("resid.1", value=0.0),))
    with pytest.raises(NoTwin, match="resid.1"):
        random_twin(MODEL, stack, 0)
    twins, note = random_twins(MODEL, stack, 2, 0)
    assert twins == [] and "without a control" in note
    with pytest.raises(ValueError, match="controls=-1"):
        random_twins(MODEL, stack, -1, 0)


def test_the_mean_leaves_out_what_is_not_a_number():
    row = mean_row("m", [1.0, float("nan"), 3.0], "after", seed=0)
    assert (row.value, row.low, row.high, row.examples) == (2.0, 1.0, 3.0, 2)
    alone = mean_row("m", [1.0], "after", seed=0)
    assert alone.value == 1 and math.isnan(alone.low)  # one example has no interval


def test_prompts_of_any_evidence():
    model = bigram_model({})
    assert prompts_of(model, Facts.one("the capital of {} is", "France", "Rome"), 9, 3) == ["the capital of France is"]
    assert prompts_of(model, text(model, "the capital of France is", "in Spain"), 1, 3) == ["the capital of"]
    with pytest.raises(ValueError, match="no prompts in words"):
        prompts_of(model, random_behaviour(), 2, 3)
