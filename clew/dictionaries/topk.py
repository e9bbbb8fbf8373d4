"""TopK: the k largest pre-activations survive, rectified. Source: Gao et al. 2024 (arXiv:2406.04093)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Learned
from clew.sites import Site


class FixedK(Learned):
    """At most k units are active at a position; subclasses say which."""

    def __init__(self, reads: Site | str, writes: Site | str | None = None, *, k: int, **rest: Any) -> None:
        super().__init__(reads, writes, **rest)
        if not 1 <= k <= self.n_units:
            raise ValueError(f"k is {k}, but the dictionary at {self.writes} has {self.n_units} units")
        self.k = k

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {"k": self.k}


class TopK(FixedK):
    """The largest pre-activations, rectified."""

    kind = "topk"

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        p = self.preactivation(x)
        value, index = p.topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(p).scatter(-1, index, value.relu())
