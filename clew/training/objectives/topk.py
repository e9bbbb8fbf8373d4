"""Learn a TopK autoencoder. Source: Gao et al. 2024 (arXiv:2406.04093)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import Dictionary, TopK
from clew.sites import Site
from clew.training.objective import Coder, Decoder, Moment, Scaling
from clew.training.objectives._products import all_products, half_pays
from clew.training.objectives._sparse import Active, read, write


def topk(
    *,
    units: int,
    k: int,
    first_k: int | None = None,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """`units` directions of which k sum to an activation.

    Args:
        first_k: begin with so many and come down to k over the first half of the steps.
        lr: Adam's rate; 4e-3 * sqrt(2304 / units) by default.
        decoder: "random" keeps the decoder at random directions: the baseline that shows what learning adds.
        dead_after: a unit is dead when it was active at none of so many rows; dead units learn from what the others leave.
        half: choose the k units by bfloat16 products (their values and gradients stay float32); by default where the
            machine is faster at it.

    Differs from the paper: decoder rows start at activations instead of random directions, the encoder starts at the
    scale that fits best, and the auxiliary loss counts less while few units are dead.
    Raises: ValueError when k does not fit.
    """
    return TopKCoder(units, k, first_k=first_k, lr=lr, decoder=decoder, dead_after=dead_after, half=half)


class TopKCoder(Coder):
    """Subclasses choose other units (`choose`) or give their values another shape (`shape`)."""

    def __init__(
        self, units: int, k: int, *, first_k: int | None = None, half: bool | None = None, **rest: Any
    ) -> None:
        super().__init__(units, **rest)
        if not 1 <= k <= units:
            raise ValueError(f"k is {k}; it must lie between 1 and the number of units, {units}")
        if first_k is not None and not k <= first_k <= units:
            raise ValueError(f"first_k is {first_k}; it must lie between k, {k}, and the number of units, {units}")
        self.k, self.first_k = k, first_k or k
        self.settings["half"] = half

    def choose(self, raw: Float[Tensor, "row unit"], now: Moment) -> Active:
        """The units that are active, from all pre-activations."""
        k = self.k + round((self.first_k - self.k) * (1 - now.ramp(0.5)))
        return Active.rows(raw.topk(k, dim=1, sorted=False).indices, self.units)

    def shape(self, value: Float[Tensor, " active"]) -> Float[Tensor, " active"]:
        """What becomes of the chosen pre-activations."""
        return value.relu()

    def active(self, x: Float[Tensor, "row d_in"], now: Moment) -> tuple[Active, Float[Tensor, " active"]]:
        """Which units are active, and their values."""
        t = self.tensors
        shift = t["b_dec"] if self.centred else None
        with torch.no_grad():
            if self.settings["half"] is None:
                self.settings["half"] = half_pays(t["W_enc"])
            half = self.settings["half"]
            raw = all_products(self.shifted(x), t["W_enc"], t["b_enc"], half=half)
            active = self.choose(raw, now)
        value = read(x, t["W_enc"], t["b_enc"], shift, active, None if half else raw)
        return active, self.shape(value)

    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Moment) -> Float[Tensor, ""]:
        active, value = self.active(x, now)
        error = write(value, self.tensors["W_dec"], active) + self.tensors["b_dec"] - y
        loss = self.unexplained(error)
        self.note(active, value.detach(), loss, now)
        return loss + self.auxiliary(x, -error)

    def note(self, active: Active, value: Float[Tensor, " active"], loss: Tensor, now: Moment) -> None:
        """Count what fired, and tell how much is unexplained."""
        self.count(active.fired(value), len(active.count), float((value != 0).sum()) / len(active.count))
        self.told["unexplained"] = float(loss.detach())

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        active, value = self.active(x, Moment(1, 1))
        return write(value, self.tensors["W_dec"], active) + self.tensors["b_dec"]

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        return TopK(reads[0], writes[0], k=self.k, **self.folded(x, y), **meta)
