"""Sparse maps: their values and gradients are those of dense ones on the same support."""

import pytest
import torch

from clew.training.objectives._sparse import Active, gather, products, read, write

G = torch.Generator().manual_seed(0)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=G, dtype=torch.float64).requires_grad_()


def ragged(tokens: int, units: int) -> tuple[Active, torch.Tensor]:
    """Another number of units at every token, none at some; and the same as a mask."""
    mask = torch.rand(tokens, units, generator=G) < 0.3
    mask[3] = False
    return Active(mask.nonzero()[:, 1], mask.sum(1), units), mask


def test_two_tokens_by_hand() -> None:
    active = Active.rows(torch.tensor([[0, 2], [1, 2]]), 3)
    W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert write(torch.tensor([2.0, 3.0, 5.0, 7.0]), W, active).tolist() == [[5.0, 3.0], [7.0, 12.0]]
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert read(x, W, torch.tensor([10.0, 20.0, 30.0]), None, active).tolist() == [11.0, 33.0, 24.0, 37.0]


@pytest.mark.parametrize("even", [True, False])
def test_gradients_are_those_of_dense_autograd(even: bool) -> None:
    tokens, units, d = 700, 9, 5  # more active entries than are gathered at once
    active, mask = ragged(tokens, units)
    if even:
        index = torch.rand(tokens, units, generator=G).argsort(1)[:, :3]
        active, mask = Active.rows(index, units), torch.zeros(tokens, units, dtype=torch.bool).scatter(1, index, True)
    x, (W, b, shift, V) = draw(tokens, d).detach(), (draw(units, d), draw(units), draw(d), draw(units, 4))
    target = draw(tokens, 4).detach()
    sparse = (write(read(x, W, b, shift, active).relu(), V, active) - target).square().sum()
    dense = (((((x - shift) @ W.T + b).relu() * mask) @ V) - target).square().sum()
    torch.testing.assert_close(sparse, dense)
    for mine, theirs in zip(*(torch.autograd.grad(y, [W, b, shift, V]) for y in (sparse, dense)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_pre_activations_that_are_there_already_are_not_computed_again() -> None:
    active, mask = ragged(8, 6)
    raw = torch.full((8, 6), 7.0, dtype=torch.float64)
    value = read(draw(8, 5).detach(), draw(6, 5), draw(6), None, active, raw)
    assert value.tolist() == [7.0] * int(mask.sum())


def test_products_and_sums_by_unit_on_a_ragged_list() -> None:
    active, mask = ragged(40, 6)
    y, W = draw(40, 5).detach(), draw(6, 5).detach()
    torch.testing.assert_close(products(y, W, active), (y @ W.T)[mask])
    weight = torch.rand(len(active.unit), generator=G, dtype=torch.float64)
    dense = torch.zeros(40, 6, dtype=torch.float64).masked_scatter(mask, weight)
    torch.testing.assert_close(gather(y, weight, active), dense.T @ y)


def test_a_part_of_the_list_keeps_its_tokens_and_what_fired() -> None:
    active, mask = ragged(40, 6)
    part = active.where(active.unit < 2)
    assert part.count.tolist() == mask[:, :2].sum(1).tolist() and set(part.unit.tolist()) <= {0, 1}
    assert part.token.tolist() == mask[:, :2].nonzero()[:, 0].tolist()
    value = (active.unit == 4).double()
    assert active.fired(value).tolist() == [False] * 4 + [True, False]


def test_nothing_active_writes_zero() -> None:
    active = Active(torch.empty(0, dtype=torch.long), torch.zeros(3, dtype=torch.long), 6)
    V = draw(6, 4)
    made = write(torch.empty(0, dtype=torch.float64), V, active)
    assert made.tolist() == [[0.0] * 4] * 3
    assert torch.autograd.grad(made.sum(), V)[0].abs().sum() == 0
