"""Codebook: an activation is the mean of k codes, without coefficients. Source: Tamkin et al. 2023 (arXiv:2310.17230)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.sites import Site


class Codebook(Dictionary):
    """The k of `codes` [unit, d_in] whose direction goes furthest along x - b_dec; each counts 1 / k, the others 0.

    Unlike in the paper the model is as it was: what the mean leaves unexplained stays beside it as an error, and there
    is no LayerNorm in front. A choice has no slope, so the gradient of a code that is on is straight-through: a change
    of x is written back as it is along the codes that are on.
    """

    kind = "codebook"
    codes: Tensor
    b_dec: Tensor

    def __init__(
        self, reads: Site | str, writes: Site | str | None = None, *, codes: Tensor, b_dec: Tensor, k: int, **meta: Any
    ) -> None:
        super().__init__(reads, writes, **meta)
        if self.spans_sites:
            raise ValueError(f"a codebook reads and writes one site, not {self.reads} and {self.writes}")
        if codes.ndim != 2 or tuple(b_dec.shape) != (codes.shape[1],):
            raise ValueError(
                f"codes of the codebook at {self.reads} have shape {tuple(codes.shape)} and b_dec "
                f"{tuple(b_dec.shape)}; they must be [unit, d_in] and [d_in]"
            )
        if not 1 <= k <= len(codes):
            raise ValueError(f"k is {k}, but the codebook at {self.reads} has {len(codes)} codes")
        self.k = k
        self.register_buffer("codes", codes)
        self.register_buffer("b_dec", b_dec)

    @property
    def n_units(self) -> int:
        return self.codes.shape[0]

    @property
    def d_in(self) -> int:
        return self.codes.shape[1]

    @property
    def d_out(self) -> int:
        return self.codes.shape[1]

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        length = self.codes.norm(dim=1).clamp_min(1e-12)
        along = (x - self.b_dec) @ (self.codes / length[:, None]).T
        chosen = along.detach().topk(self.k, dim=-1, sorted=False).indices
        slope = along.gather(-1, chosen) / length[chosen]
        return torch.zeros_like(along).scatter(-1, chosen, 1 / self.k + (slope - slope.detach()))

    def decode(self, code: Float[Tensor, "*batch unit"]) -> Float[Tensor, "*batch d_out"]:
        return code @ self.codes + self.b_dec

    def write(self, delta: Float[Tensor, "*batch unit"]) -> Float[Tensor, "*batch d_out"]:
        return delta @ self.codes

    def pull(self, grad: Float[Tensor, "*batch d_out"]) -> Float[Tensor, "*batch unit"]:
        return grad @ self.codes.T

    @property
    def settings(self) -> dict[str, Any]:
        """What is needed beside the tensors to build it again, as plain JSON."""
        return {"k": self.k}
