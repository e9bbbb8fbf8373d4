"""JumpReLU: f = p where p > threshold, else 0. Source: Rajamanoharan et al. 2024 (arXiv:2407.14435)."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Learned, threshold_gate
from clew.sites import Site


class JumpReLU(Learned):
    """Units with a threshold each; `threshold` [unit] is never negative."""

    kind = "jumprelu"
    threshold: Tensor

    def __init__(self, reads: Site | str, writes: Site | str | None = None, *, threshold: Tensor, **rest: Any) -> None:
        super().__init__(reads, writes, **rest)
        if tuple(threshold.shape) != (self.n_units,):
            raise ValueError(
                f"threshold of the dictionary at {self.writes} has shape {tuple(threshold.shape)}; "
                f"one value per unit is needed: ({self.n_units},)"
            )
        self.register_buffer("threshold", threshold)

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        return threshold_gate(self.preactivation(x), self.threshold.clamp(min=0))
