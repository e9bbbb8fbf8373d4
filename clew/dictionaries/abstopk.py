"""AbsTopK: the k pre-activations of the largest size survive, with their sign. Source: arXiv:2510.00404 (ICLR 2026)."""

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.topk import FixedK


class AbsTopK(FixedK):
    """Units that point both ways: a negative value writes the opposite of the unit's direction.

    Active means other than zero, not above zero.
    """

    kind = "abstopk"

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        p = self.preactivation(x)
        index = p.abs().topk(self.k, dim=-1, sorted=False).indices
        return torch.zeros_like(p).scatter(-1, index, p.gather(-1, index))
