"""A sparse random projection: wide vectors in few dimensions, angles nearly kept."""

from __future__ import annotations

import hashlib
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Sketch:
    """Each coordinate goes, with a random sign, into one of `dims` sums: a matrix of -1, 0 and 1 with one entry a column.

    Inner products are kept on average, and to about 1 / sqrt(dims) of the norms. Which sum and which sign depend on
    the seed and the name alone, so that vectors that are sketched apart can be compared.
    Source: Charikar et al. 2002 (count sketch); Achlioptas 2003 for sparse projections.

    >>> Sketch("x", 3, 8)(torch.tensor([[1.0, 2.0, 0.0]])).abs().sum()
    tensor(3.)
    """

    def __init__(self, name: str, width: int, dims: int, seed: int = 0) -> None:
        self.name, self.width, self.dims, self.seed = name, width, dims, seed

    @cached_property
    def drawn(self) -> tuple[Int[Tensor, " width"], Float[Tensor, " width"]]:
        """The sum and the sign of each coordinate."""
        own = int.from_bytes(hashlib.sha256(f"sketch {self.seed} {self.name}".encode()).digest()[:7], "big")
        g = torch.Generator().manual_seed(own)
        return torch.randint(self.dims, (self.width,), generator=g), torch.randint(
            2, (self.width,), generator=g
        ) * 2.0 - 1

    def __call__(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch dims"]:
        into, sign = (drawn.to(x.device) for drawn in self.drawn)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return wide.new_zeros(*x.shape[:-1], self.dims).index_add_(-1, into, wide * sign.to(wide))
