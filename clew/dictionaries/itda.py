"""ITDA: units are activations that were met, and the code is matching pursuit.

Source: Leask et al. 2025 (arXiv:2505.17769). Differs: the centre `b_dec` is taken off x first, because a few
coordinates of a residual stream are large in every activation and would be all that the first atoms see.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.sites import Site


class ITDA(Dictionary):
    """k rounds of matching pursuit over `atoms` [unit, d_in], rows of length one; values may be negative."""

    kind = "itda"
    atoms: Tensor
    b_dec: Tensor

    def __init__(
        self, reads: Site | str, writes: Site | str | None = None, *, atoms: Tensor, b_dec: Tensor, k: int, **meta: Any
    ) -> None:
        super().__init__(reads, writes, **meta)
        if self.spans_sites:
            raise ValueError(f"an ITDA dictionary reads and writes one site, not {self.reads} and {self.writes}")
        if atoms.ndim != 2 or tuple(b_dec.shape) != (atoms.shape[1],):
            raise ValueError(
                f"atoms of the dictionary at {self.reads} have shape {tuple(atoms.shape)} and b_dec "
                f"{tuple(b_dec.shape)}; they must be [unit, d_in] and [d_in]"
            )
        length = atoms.norm(dim=1)
        if ((length - 1).abs() > 1e-3).any():
            raise ValueError(
                f"atoms of the dictionary at {self.reads} have lengths from {length.min():.4g} to {length.max():.4g}; "
                "matching pursuit needs 1: divide each row by its norm"
            )
        if not 1 <= k <= len(atoms):
            raise ValueError(
                f"k is {k}; matching pursuit at {self.reads} takes 1 round to {len(atoms)}, one for each atom"
            )
        self.k = k
        self.register_buffer("atoms", atoms)
        self.register_buffer("b_dec", b_dec)
        self._gram: Tensor | None = None

    @property
    def n_units(self) -> int:
        return self.atoms.shape[0]

    @property
    def d_in(self) -> int:
        return self.atoms.shape[1]

    @property
    def d_out(self) -> int:
        return self.atoms.shape[1]

    @property
    def gram(self) -> Float[Tensor, "unit unit"]:
        """atoms @ atoms.T; kept, because it costs more than the encoding of some thousand tokens."""
        if self._gram is None or self._gram.device != self.atoms.device or self._gram.dtype != self.atoms.dtype:
            self._gram = self.atoms @ self.atoms.T
        return self._gram

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        """Differentiable given which atoms are picked: the gradient is that of the values on this support."""
        products = (x - self.b_dec).reshape(-1, self.d_in) @ self.atoms.T
        picked = pursue(products.detach(), self.gram, self.k)
        value = values(products, self.gram, picked)
        return torch.zeros_like(products).scatter_add(1, picked, value).reshape(*x.shape[:-1], self.n_units)

    def decode(self, code: Float[Tensor, "*batch unit"]) -> Float[Tensor, "*batch d_out"]:
        return code @ self.atoms + self.b_dec

    def write(self, delta: Float[Tensor, "*batch unit"]) -> Float[Tensor, "*batch d_out"]:
        return delta @ self.atoms

    def pull(self, grad: Float[Tensor, "*batch d_out"]) -> Float[Tensor, "*batch unit"]:
        return grad @ self.atoms.T

    @property
    def settings(self) -> dict[str, Any]:
        """What is needed beside the tensors to build it again, as plain JSON."""
        return {"k": self.k}


def pursue(products: Float[Tensor, "token unit"], gram: Float[Tensor, "unit unit"], k: int) -> Int[Tensor, "token k"]:
    """Which atom each round of matching pursuit picks, from the products of x with all atoms.

    Taking c_j atom_j off the residual takes c_j <atom_j, atom_i> off the i-th product, so one matrix product
    with x serves all rounds; the plain loop needs k.
    """
    picked = torch.empty(len(products), k, dtype=torch.long, device=products.device)
    for start in range(0, len(products), 256):  # a chunk stays in the cache
        left, chosen = products[start : start + 256].clone(), picked[start : start + 256]
        for column in chosen.T:
            best = left.abs().argmax(dim=1)
            column.copy_(best)
            left -= left.gather(1, best[:, None]) * gram[best]
    return picked


def values(
    products: Float[Tensor, "token unit"], gram: Float[Tensor, "unit unit"], picked: Int[Tensor, "token k"]
) -> Float[Tensor, "token k"]:
    """What matching pursuit takes of each picked atom: a_t = <x, d_t> - sum over s < t of a_s <d_s, d_t>.

    That is a triangular system with ones on its diagonal, so it is pulled back without a loop.
    """
    lower = gram[picked[:, :, None], picked[:, None, :]].tril(-1)
    right = products.gather(1, picked)[..., None]
    return torch.linalg.solve_triangular(lower, right, upper=False, unitriangular=True)[..., 0]
