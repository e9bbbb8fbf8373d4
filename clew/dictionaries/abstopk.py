"""AbsTopK: the k pre-activations of the largest size survive, with their sign. Source: arXiv:2510.00404 (ICLR 2026)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Learned
from clew.sites import Site


class AbsTopK(Learned):
    """Units that point both ways: a negative value writes the opposite of the unit's direction.

    At most k are active at a position; active means other than zero, not above zero.
    """

    kind = "abstopk"

    def __init__(self, reads: Site | str, writes: Site | str | None = None, *, k: int, **rest: Any) -> None:
        super().__init__(reads, writes, **rest)
        if not 1 <= k <= self.n_units:
            raise ValueError(f"k is {k}, but the dictionary at {self.writes} has {self.n_units} units")
        self.k = k

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        p = self.preactivation(x)
        index = p.abs().topk(self.k, dim=-1, sorted=False).indices
        return torch.zeros_like(p).scatter(-1, index, p.gather(-1, index))

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"k": self.k}
