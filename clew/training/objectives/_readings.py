"""What the units read of a batch: a list of the active ones, or a matrix of all. Formulas over it hold in both cases."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.training.objectives._sparse import Active, write


class Readings:
    """Pre-activations `raw` of the units that may be open: [active], listed row by row, or [row, unit] of all units when
    `active` is None. `x` is what the encoder saw: centred rows. `open` [row, unit] is needed beside a matrix alone."""

    def __init__(
        self,
        x: Float[Tensor, "row d_in"],
        raw: Tensor,
        active: Active | None,
        open: Bool[Tensor, "row unit"] | None = None,
    ) -> None:
        self.x, self.raw, self.active, self.open = x, raw, active, open

    def of(self, per_unit: Float[Tensor, " unit"]) -> Tensor:
        """A value per unit, in the shape of `raw`."""
        return per_unit.expand_as(self.raw) if self.active is None else per_unit.index_select(0, self.active.unit)

    def only_open(self, value: Tensor) -> Tensor:
        """0 where a unit is not open; a list holds no other."""
        return value if self.open is None else torch.where(self.open, value, 0.0)

    def mean(self, value: Tensor) -> Float[Tensor, ""]:
        """The sum over units, in the mean over rows."""
        return value.sum() / len(self.x)

    def by_row(self, value: Tensor) -> Float[Tensor, " row"]:
        """The sum over units of each row."""
        if self.active is None:
            return value.sum(1)
        return torch.zeros_like(self.x[:, 0]).index_add(0, self.active.token, value)

    def write(self, value: Tensor, W: Float[Tensor, "unit d_out"]) -> Float[Tensor, "row d_out"]:
        """The sum of each row's units times their values."""
        return value @ W if self.active is None else write(value, W, self.active)

    def fired(self, value: Tensor) -> Bool[Tensor, " unit"]:
        """Units with a value other than 0 at some row."""
        return (value != 0).any(0) if self.active is None else self.active.fired(value)

    def count(self, value: Tensor, units: int) -> Float[Tensor, " unit"]:
        """At how many rows each unit's value is above 0."""
        if self.active is None:
            return (value > 0).sum(0).to(self.x)
        return torch.zeros(units).to(self.x).index_add_(0, self.active.unit, (value > 0).to(self.x))

    def peak(self, value: Tensor, units: int) -> Float[Tensor, " unit"]:
        """Each unit's largest value, at least 0."""
        if self.active is None:
            return value.amax(0).clamp_min(0)
        return torch.zeros(units).to(self.x).scatter_reduce_(0, self.active.unit, value, "amax")
