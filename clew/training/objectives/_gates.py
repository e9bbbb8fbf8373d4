"""Units that open by a gate of their own, so that any number may be on at a row.

With few units open, forward and backward touch those alone (`_sparse.py`); with many, as at the start of a ReLU
dictionary, dense products are faster. Formulas are written once, over `Readings`, and hold in both cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.training.objective import Clock
from clew.training.objectives._coder import Coder
from clew.training.objectives._readings import Readings
from clew.training.objectives._sparse import Active, read

FEW = 1 / 16
"""Up to this share of open units, lists are faster than matrices."""


def positive(coder: Coder, raw: Float[Tensor, "row unit"], seen: Float[Tensor, "row d_in"]) -> Bool[Tensor, "row unit"]:
    return raw > 0


def rectified(coder: Coder, r: Readings) -> Tensor:
    return r.raw.relu()


@dataclass(frozen=True)
class Gates:
    """Reads a coder."""

    open: Callable[[Coder, Tensor, Tensor], Tensor] = positive
    """(coder, raw [row, unit], what the encoder sees [row, d_in]) -> True at least wherever a unit's value, or the
    gradient of its value or cost, is not 0."""
    value: Callable[[Coder, Readings], Tensor] = rectified
    """The code in the shape of `r.raw`; 0 where the gate is shut."""

    def __call__(self, coder: Coder, x: Float[Tensor, "row d_in"], now: Clock) -> tuple[Readings, Tensor]:
        r = self.readings(coder, x)
        return r, self.value(coder, r)

    def readings(self, coder: Coder, x: Float[Tensor, "row d_in"]) -> Readings:
        """The pre-activations that matter, as a list or a matrix, whichever is faster."""
        t = coder.matrices
        shift = t["b_dec"] if coder.centred else None
        seen = x if shift is None else x - shift
        raw = torch.addmm(t["b_enc"], seen, t["W_enc"].T)
        with torch.no_grad():
            open = self.open(coder, raw, seen)
            few = int(open.sum()) <= FEW * open.numel()
        if not few:
            return Readings(seen, raw, None, open)
        active = Active(open.nonzero()[:, 1], open.sum(1), coder.units)
        return Readings(seen, read(x, t["W_enc"], t["b_enc"], shift, active, raw.detach()), active)
