"""Learn a Gated autoencoder. Source: Rajamanoharan et al. 2024 (arXiv:2404.16014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import Dictionary, Gated
from clew.sites import Site
from clew.training.objective import Decoder, Moment, Scaling
from clew.training.objectives._gates import GateCoder, Readings
from clew.training.objectives.relu import ReLUCoder


def gated(
    *,
    units: int,
    penalty: float = 0.2,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> GateCoder:
    """One reading decides whether a unit is on and is penalised, another how much: sparse without shrinking.

    The gate is a step and has no gradient, so its reading, rectified, must explain the activation too, by a decoder
    that does not learn from it.

    Args: penalty, warm_up, decoder, dead_after: as for `relu`; the penalty is on the gate's reading. lr: as for `topk`.
    Differs from the source: dead units learn as in `relu`.
    Raises: ValueError when an option does not fit.
    """
    return GatedCoder(units, penalty, warm_up=warm_up, lr=lr, decoder=decoder, dead_after=dead_after)


class GatedCoder(ReLUCoder):
    """`b_enc` is the gate's bias; `r_mag`, `b_mag` [unit] make the magnitude of the same reading."""

    def further(self, x: Float[Tensor, "row d_in"]) -> None:
        self.tensors |= {"r_mag": x.new_zeros(self.units), "b_mag": x.new_zeros(self.units)}

    def value(self, r: Readings) -> Tensor:
        t = self.tensors
        magnitude = (r.raw - r.of(t["b_enc"])) * r.of(t["r_mag"].exp()) + r.of(t["b_mag"])
        return torch.where(r.raw > 0, magnitude.relu(), 0.0)

    def cost(self, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"], now: Moment) -> Tensor:
        t, gate = self.tensors, r.raw.relu()
        guess = r.write(gate, t["W_dec"].detach()) + t["b_dec"].detach()
        length = r.of(t["W_dec"].norm(dim=1))
        return self.unexplained(guess - y) + now.ramp(self.warm_up) * self.penalty * r.mean(gate * length) / self.size

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        whole = self.folded(x, y)
        gates = {"b_gate": whole.pop("b_enc"), "b_mag": y.size * self.tensors["b_mag"], "r_mag": self.tensors["r_mag"]}
        return Gated(reads[0], writes[0], **gates, **whole, **meta)
