"""The dead units' loss: with raw pre-activations they explain what the live ones leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clew.training.objectives._coder import Coder, Pass
from clew.training.objectives._dead import share, strongest


@dataclass(frozen=True)
class Revive:
    """A term of a loss. Not rectified: a dead unit is one with negative pre-activations, and the gradient must reach its
    encoder. Counts less while few units are dead (Gao et al. 2024)."""

    by: Callable[[Tensor], Tensor] = torch.Tensor.detach
    """By what of pre-activations the strongest are found."""

    def __call__(self, coder: Coder, seen: Pass) -> Tensor | float:
        which = coder.dead.nonzero()[:, 0]
        if not len(which):
            return 0.0
        t, left = coder.matrices, -seen.error.detach()
        most = left.shape[1] // 2
        code = torch.addmm(t["b_enc"][which], coder.shifted(seen.x), t["W_enc"][which].T)
        made = strongest(code, most, self.by) @ t["W_dec"][which]
        return share(made, left, len(which), most)
