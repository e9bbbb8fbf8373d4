"""Maps through few active units: forward and backward touch the active rows of a matrix and no others.

With k of F units active per token, a dense backward spends F / k times the work on zeros. The gradients here are
those of the dense formula given which units are active; tests/training/objectives/test_sparse.py holds them to autograd.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 256
"""Active rows gathered at once on a CPU: they stay in its cache, and fresh memory costs more than the arithmetic."""


class Active:
    """Which units are active at which tokens: a flat list, token by token."""

    def __init__(self, unit: Int[Tensor, " active"], count: Int[Tensor, " token"], units: int) -> None:
        self.unit, self.count, self.units = unit, count, units

    @classmethod
    def rows(cls, index: Int[Tensor, "token k"], units: int) -> Active:
        """k units at every token."""
        return cls(index.flatten(), torch.full((len(index),), index.shape[1], device=index.device), units)

    @cached_property
    def start(self) -> Int[Tensor, " token"]:
        """Where each token's units begin in the list."""
        return self.count.cumsum(0) - self.count

    @cached_property
    def token(self) -> Int[Tensor, " active"]:
        """The token of each entry."""
        return torch.repeat_interleave(self.count, output_size=len(self.unit))

    @cached_property
    def by_unit(self) -> tuple[Int[Tensor, " active"], Int[Tensor, " active"], Int[Tensor, " unit"]]:
        """The order that sorts the list by unit, the tokens in that order, and where each unit begins."""
        unit, order = self.unit.sort()
        start = torch.searchsorted(unit, torch.arange(self.units, device=unit.device))
        return order, self.token[order], start

    def where(self, kept: Bool[Tensor, " active"]) -> Active:
        """Only the entries that `kept` marks."""
        count = torch.zeros_like(self.count).index_add_(0, self.token, kept.to(self.count.dtype))
        return Active(self.unit[kept], count, self.units)

    def fired(self, value: Float[Tensor, " active"]) -> Bool[Tensor, " unit"]:
        """Units with a value other than 0 at some token."""
        return torch.zeros(self.units, dtype=torch.bool, device=value.device).index_fill_(
            0, self.unit[value != 0], True
        )


def read(
    x: Float[Tensor, "token d_in"],
    W: Float[Tensor, "unit d_in"],
    b: Float[Tensor, " unit"],
    shift: Float[Tensor, " d_in"] | None,
    active: Active,
    raw: Float[Tensor, "token unit"] | None = None,
) -> Float[Tensor, " active"]:
    """Pre-activations <x - shift, W_i> + b_i of the active units; differentiable in W, b and shift.

    Args: raw: all pre-activations, if they are there already in full precision; else the active ones are computed.
    """
    return _Read.apply(x, W, b, shift, active, raw)  # pyright: ignore[reportReturnType]


def write(
    value: Float[Tensor, " active"], W: Float[Tensor, "unit d_out"], active: Active
) -> Float[Tensor, "token d_out"]:
    """The sum of each token's active rows of W times their values; differentiable in both."""
    return _Write.apply(value, W, active)  # pyright: ignore[reportReturnType]


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, W: Tensor, b: Tensor, shift: Tensor | None, active: Active, raw: Tensor | None
    ) -> Tensor:
        centred = x if shift is None else x - shift
        ctx.save_for_backward(centred, W)
        ctx.active, ctx.shifted = active, shift is not None
        if raw is not None:
            return raw[active.token, active.unit]
        return products(centred, W, active) + b[active.unit]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (centred, W) = grads, ctx.saved_tensors
        on_W, on_b = gather(centred, grad, ctx.active), torch.zeros_like(W[:, 0])
        on_b.index_add_(0, ctx.active.unit, grad)
        return None, on_W, on_b, -(on_b @ W) if ctx.shifted else None, None, None


class _Write(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, W: Tensor, active: Active) -> Tensor:
        ctx.save_for_backward(value, W)
        ctx.active = active
        return F.embedding_bag(active.unit, W, active.start, per_sample_weights=value, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (value, W) = grads, ctx.saved_tensors
        on_W = gather(grad, value, ctx.active) if ctx.needs_input_grad[1] else None
        return products(grad, W, ctx.active), on_W, None


def products(y: Float[Tensor, "token d"], W: Float[Tensor, "unit d"], active: Active) -> Float[Tensor, " active"]:
    """<y, W_i> for each active unit i of each token."""
    n, found = len(active.unit), y.new_empty(len(active.unit))
    if not n:
        return found
    k = n // len(y)
    even = k * len(y) == n and bool((active.count == k).all())
    step = CHUNK if y.device.type == "cpu" else 1 << 20
    step = max(1, step // k) * k if even else step
    rows = W.new_empty(min(step, n), W.shape[1])
    for at in range(0, n, step):
        some = active.unit[at : at + step]
        here = torch.index_select(W, 0, some, out=rows[: len(some)])
        if even:
            # As a row times a matrix: the other way round, a matrix times a column, is five times slower on CPUs.
            of = y[at // k : at // k + len(some) // k, None]
            torch.bmm(of, here.view(-1, k, W.shape[1]).mT, out=found[at : at + step].view(-1, 1, k))
        else:
            found[at : at + step] = (here * y[active.token[at : at + step]]).sum(1)
    return found


def gather(y: Float[Tensor, "token d"], weight: Float[Tensor, " active"], active: Active) -> Float[Tensor, "unit d"]:
    """For each unit the sum over the tokens where it is active of weight times y."""
    order, token, start = active.by_unit
    return F.embedding_bag(token, y.contiguous(), start, mode="sum", per_sample_weights=weight[order])
