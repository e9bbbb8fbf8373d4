"""Gated: one reading decides whether a unit is on, another how much. Rajamanoharan et al. 2024 (arXiv:2404.16014)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.dictionaries.dictionary import Learned
from clew.sites import Site


class Gated(Learned):
    """f = relu(z exp(r_mag) + b_mag) where z + b_gate > 0, else 0; z = x W_enc, x centred or not.

    `b_gate`, `b_mag`, `r_mag` are [unit]. There is no b_enc. The gate is a step: the gradient is
    that of the magnitude where the gate is open, and 0 elsewhere.
    """

    kind = "gated"
    b_gate: Tensor
    b_mag: Tensor
    r_mag: Tensor

    def __init__(
        self,
        reads: Site | str,
        writes: Site | str | None = None,
        *,
        b_gate: Tensor,
        b_mag: Tensor,
        r_mag: Tensor,
        **rest: Any,
    ) -> None:
        super().__init__(reads, writes, b_enc=None, **rest)
        for name, tensor in {"b_gate": b_gate, "b_mag": b_mag, "r_mag": r_mag}.items():
            if tuple(tensor.shape) != (self.n_units,):
                raise ValueError(
                    f"{name} of the dictionary at {self.writes} has shape {tuple(tensor.shape)}; "
                    f"one value per unit is needed: ({self.n_units},)"
                )
            self.register_buffer(name, tensor)

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        z = self.preactivation(x)
        magnitude = (z * self.r_mag.exp() + self.b_mag).relu()
        return torch.where(z + self.b_gate > 0, magnitude, torch.zeros_like(magnitude))

    def slope(self, unit: Int[Tensor, " some"]) -> Float[Tensor, " some"]:
        return self.r_mag[unit].exp()
