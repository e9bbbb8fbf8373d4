"""The solver: what least squares promises, in both layouts in which models store their matrices."""

from inspect import unwrap

import pytest
import torch
from torch import Tensor

from clew.changes import Update
from clew.edits._solver import least_change
from clew.models.weights import linear_of, updated
from clew.sites import Weight
from tests.planted import tiny_model

F64 = torch.float64
LAYOUTS = pytest.mark.parametrize("family", ["llama", "gpt2"])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed + sum(shape)))


def spread(width: int) -> Tensor:
    """A second moment that is far from the identity."""
    a = draw(width, 2 * width) * torch.linspace(0.3, 3, width, dtype=F64)[:, None]
    return a @ a.T / (2 * width)


def matrix(family: str) -> Tensor:
    """W_down of a tiny model: stored [out, in] by llama, [in, out] by gpt2."""
    return linear_of(tiny_model(family).body, "down.1").matrix()


def solved(W: Tensor, K: Tensor, V: Tensor, C: Tensor | None = None, strength: float = 1.0) -> Tensor:
    left, right = least_change(W, K, V, prior=C, strength=strength)
    return left @ right


def test_one_key_by_hand() -> None:
    W, k, v = (
        torch.zeros(2, 3, dtype=F64),
        torch.tensor([[0.0, 2.0, 0.0]], dtype=F64),
        torch.tensor([[1.0, 5.0]]).double(),
    )
    assert torch.equal(solved(W, k, v, strength=0.0), torch.tensor([[0.0, 0.5, 0.0], [0.0, 2.5, 0.0]], dtype=F64))
    half = solved(W, k, v, strength=4.0)  # k kᵀ = 4 = strength, so that half of the way is gone
    assert torch.allclose(half @ k[0], v[0] / 2, atol=1e-15)


@LAYOUTS
@pytest.mark.parametrize("n", [1, 5, 200])
def test_it_is_where_the_gradient_vanishes(family: str, n: int) -> None:
    W = matrix(family)
    K, V, C = draw(n, W.shape[1]), draw(n, W.shape[0], seed=1), spread(W.shape[1])
    delta = solved(W, K, V, C, 0.7)
    gradient = 0.7 * delta @ C + ((W + delta) @ K.T - V.T) @ K
    assert float(gradient.abs().max()) < 1e-10 * float((V.T @ K).abs().max())


@LAYOUTS
def test_values_that_are_there_already_change_nothing(family: str) -> None:
    W = matrix(family)
    K = draw(4, W.shape[1])
    assert not solved(W, K, K @ W.T, spread(W.shape[1])).any()


@LAYOUTS
def test_rome_meets_its_value_exactly_by_rank_one(family: str) -> None:
    W = matrix(family)
    k, v, C = draw(1, W.shape[1]), draw(1, W.shape[0], seed=1), spread(W.shape[1])
    left, right = least_change(W, k, v, prior=C, strength=0.0)
    assert left.shape[1] == right.shape[0] == 1
    assert torch.allclose((W + left @ right) @ k[0], v[0], atol=1e-11)
    published = torch.linalg.solve(C, k[0])  # Λ (C⁻¹ k)ᵀ with Λ = (v - W k) / (C⁻¹ k)ᵀ k
    assert torch.allclose(left @ right, torch.outer(v[0] - W @ k[0], published) / (published @ k[0]), atol=1e-11)


def test_memit_of_one_fact_tends_to_rome() -> None:
    W, k, v, C = draw(7, 9), draw(1, 9), draw(1, 7), spread(9)
    rome = solved(W, k, v, C, 0.0)
    assert float((solved(W, k, v, C, 1e-9) - rome).norm() / rome.norm()) < 1e-7


@pytest.mark.parametrize("n", [5, 30])
def test_the_published_form_of_uce_is_this_one(n: int) -> None:
    W, K, V, identity = draw(7, 9), draw(n, 9), draw(n, 7, seed=1), torch.eye(9, dtype=F64)
    uce = (0.5 * W + V.T @ K) @ torch.linalg.inv(0.5 * identity + K.T @ K)
    assert torch.allclose(W + solved(W, K, V, strength=0.5), uce, atol=1e-12)


@LAYOUTS
def test_undoing_is_bit_for_bit_and_reads_the_weights_own_layout(family: str) -> None:
    body = tiny_model(family).body
    W = linear_of(body, "down.1").matrix()
    K, V = draw(2, W.shape[1]), draw(2, W.shape[0], seed=1)
    left, right = least_change(W, K, V, strength=0.0)
    twin = updated(body, [Update(Weight("down.1"), left=left, right=right)])
    owner = linear_of(body, "down.1").name.removesuffix(".weight")
    bias = linear_of(body, "down.1").bias
    assert torch.allclose(twin.get_submodule(owner)(K) - (0 if bias is None else bias), V, atol=1e-11)
    assert torch.equal(linear_of(body, "down.1").matrix(), W)


@pytest.mark.parametrize("n", [9, 20])
def test_as_many_keys_as_inputs_or_more_are_all_met_at_strength_0(n: int) -> None:
    W, wanted, K = draw(7, 9), draw(7, 9, seed=1), draw(n, 9)
    assert torch.allclose(W + solved(W, K, K @ wanted.T, strength=0.0), wanted, atol=1e-10)


def test_the_order_of_keys_and_an_overwhelming_prior() -> None:
    W, K, V, C = draw(7, 9), draw(4, 9), draw(4, 7), spread(9)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(solved(W, K, V, C), solved(W, K[order], V[order], C), atol=1e-13)
    assert float(solved(W, K, V, C, 1e12).norm()) < 1e-9


def test_at_strength_0_no_other_change_that_meets_the_values_moves_ordinary_outputs_less() -> None:
    W, K, V, C = draw(7, 9), draw(3, 9), draw(3, 7), spread(9)
    delta = solved(W, K, V, C, 0.0)
    null = torch.eye(9, dtype=F64) - torch.linalg.pinv(K) @ K
    cost = lambda change: float((change @ C @ change.T).trace())  # noqa: E731
    assert all(cost(delta) < cost(delta + 0.1 * draw(7, 9, seed=s) @ null) for s in range(10))


@pytest.mark.parametrize(
    ("K", "C", "strength", "said"),
    [
        (draw(2, 8), None, 1.0, r"keys \[example, 9\]"),
        (draw(2, 9), spread(8), 1.0, "made for another model"),
        (draw(2, 9), None, -1.0, "strength=-1.0"),
        (draw(1, 9) * torch.nan, None, 1.0, "not finite"),
        (draw(1, 9).repeat(2, 1), None, 0.0, "a strength above 0"),
        (draw(2, 9), torch.ones(9, 9, dtype=F64), 1.0, "shrink it"),
    ],
)
def test_what_cannot_be_solved_is_refused(K: Tensor, C: Tensor | None, strength: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        unwrap(least_change)(draw(7, 9), K, draw(len(K), 7), prior=C, strength=strength)
