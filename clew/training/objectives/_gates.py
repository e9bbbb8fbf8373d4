"""Objectives whose units open by a gate of their own, so that any number may be on at a row.

With few units open, forward and backward touch those alone (`_sparse.py`); with many, as at the start of a ReLU
dictionary, dense products are faster. Formulas are written once, over `Readings`, and hold in both cases.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.training.objective import Coder, Moment
from clew.training.objectives._sparse import Active, read, write

FEW = 1 / 16
"""Up to this share of open units, lists are faster than matrices."""


class Readings:
    """Pre-activations `raw` of the units that may be open: [active], listed row by row, or [row, unit] of all units when
    `active` is None. `x` is what the encoder saw: centred rows."""

    def __init__(
        self, x: Float[Tensor, "row d_in"], raw: Tensor, open: Bool[Tensor, "row unit"], active: Active | None
    ) -> None:
        self.x, self.raw, self.open, self.active = x, raw, open, active

    def of(self, per_unit: Float[Tensor, " unit"]) -> Tensor:
        """A value per unit, in the shape of `raw`."""
        return per_unit.expand_as(self.raw) if self.active is None else per_unit.index_select(0, self.active.unit)

    def only_open(self, value: Tensor) -> Tensor:
        """0 where a unit is not open; a list holds no other."""
        return torch.where(self.open, value, 0.0) if self.active is None else value

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


class GateCoder(Coder):
    """Subclasses say which units may be open (`open`), what their values are (`value`) and what they cost (`cost`)."""

    def __init__(self, units: int, *, warm_up: float = 0.1, **rest: Any) -> None:
        super().__init__(units, **rest)
        if not 0 <= warm_up <= 1:
            raise ValueError(f"warm_up is {warm_up}; it is a share of the steps, from 0 to 1")
        self.warm_up = warm_up

    @abstractmethod
    def open(self, raw: Float[Tensor, "row unit"], x: Float[Tensor, "row d_in"]) -> Bool[Tensor, "row unit"]:
        """True at least wherever a unit's value, or the gradient of its value or cost, is not 0."""

    @abstractmethod
    def value(self, r: Readings) -> Tensor:
        """The code in the shape of `r.raw`; 0 where the gate is shut."""

    def cost(self, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"], now: Moment) -> Tensor | float:
        """What is made small beside the unexplained share of variance."""
        return 0.0

    @property
    def size(self) -> Float[Tensor, ""]:
        """The length of a typical row: codes divided by it are pure numbers."""
        return self.state["variance"].sqrt()

    def readings(self, x: Float[Tensor, "row d_in"]) -> Readings:
        """The pre-activations that matter, as a list or a matrix, whichever is faster."""
        t = self.matrices
        seen = x - t["b_dec"] if self.centred else x
        raw = torch.addmm(t["b_enc"], seen, t["W_enc"].T)
        with torch.no_grad():
            open = self.open(raw, seen)
            listed = int(open.sum()) <= FEW * open.numel()
            active = Active(open.nonzero()[:, 1], open.sum(1), self.units) if listed else None
        if active is not None:
            raw = read(x, t["W_enc"], t["b_enc"], t["b_dec"] if self.centred else None, active, raw.detach())
        return Readings(seen, raw, open, active)

    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Moment) -> Float[Tensor, ""]:
        t, r = self.matrices, self.readings(x)
        value = self.value(r)
        error = r.write(value, t["W_dec"]) + t["b_dec"] - y
        on = value != 0
        self.count(on.any(0) if r.active is None else r.active.fired(value), len(x), float(on.sum()) / len(x))
        loss = self.unexplained(error)
        self.told["unexplained"] = float(loss.detach())
        return loss + self.cost(r, value, y, now) + self.auxiliary(x, -error)

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        t, r = self.matrices, self.readings(x)
        return r.write(self.value(r), t["W_dec"]) + t["b_dec"]


def check(name: str, given: float) -> float:
    """A weight in the loss. Raises: ValueError unless it is a number of at least 0."""
    if not 0 <= given < math.inf:
        raise ValueError(f"{name} is {given}; it must be a number of at least 0")
    return given
