"""Encoder and decoder matrices: starts, lengths and gradients by hand."""

import pytest
import torch

from clew.training.objectives._matrices import across, across_sites, best_scale, lengths, some_rows


def test_the_best_scale_of_a_half_is_two() -> None:
    y = torch.tensor([[2.0, 4.0], [-6.0, 0.0]])
    assert best_scale(y / 2, y) == pytest.approx(2.0)
    assert best_scale(torch.zeros(2, 2), y) == 0.0


def test_lengths_over_two_sites_by_hand() -> None:
    assert lengths(torch.tensor([[3.0, 4.0, -2.0]]), [2, 1]).tolist() == [[5.0, 2.0]]


def test_what_only_makes_a_row_longer_is_taken_out_of_its_gradient() -> None:
    grad = torch.tensor([[5.0, 7.0]])
    across(grad, torch.tensor([[1.0, 0.0]]))
    assert grad.tolist() == [[0.0, 7.0]]


def test_over_two_sites_one_length_may_grow_as_the_other_shrinks() -> None:
    rows, grad = torch.tensor([[0.5, 0.0, 0.5]]), torch.tensor([[4.0, 1.0, 2.0]])
    across_sites(grad, rows, [2, 1])
    assert grad.tolist() == [[1.0, 1.0, -1.0]]


def test_a_process_draws_its_part_of_what_all_would_draw() -> None:
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    whole = some_rows(20, x, torch.Generator().manual_seed(1))
    part = some_rows(20, x, torch.Generator().manual_seed(1), slice(7, 12))
    assert torch.equal(part, whole[7:12]) and torch.allclose(whole.norm(dim=1), torch.ones(20))
