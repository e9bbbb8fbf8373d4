"""Learn a Gated autoencoder. Source: Rajamanoharan et al. 2024 (arXiv:2404.16014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import Gated
from clew.training.objective import Scaling
from clew.training.objectives._checks import check_warm_up, check_weight
from clew.training.objectives._coder import Coder, Decoder, Design, Pass
from clew.training.objectives._gates import Gates
from clew.training.objectives._readings import Readings
from clew.training.objectives._revive import Revive


def gated(
    *,
    units: int,
    penalty: float = 0.2,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> Coder:
    """One reading decides whether a unit is on and is penalised, another how much: sparse without shrinking.

    The gate is a step and has no gradient, so its reading, rectified, must explain the activation too, by a decoder
    that does not learn from it.

    Args: penalty, warm_up, decoder, dead_after: as for `relu`; the penalty is on the gate's reading. lr: as for `topk`.
    Differs from the source: dead units learn as in `relu`.
    Raises: ValueError when an option does not fit.
    """
    term = GateLoss(check_weight("penalty", penalty), check_warm_up(warm_up))
    design = Design(Gates(value=magnitude), Gated, (term, Revive()), begin=begin, fold=with_gates)
    return Coder(units, design, lr=lr, decoder=decoder, dead_after=dead_after)


def begin(coder: Coder, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"]) -> None:
    """`b_enc` is the gate's bias; `r_mag`, `b_mag` [unit] make the magnitude of the same reading."""
    coder.tensors |= {"r_mag": x.new_zeros(coder.units), "b_mag": x.new_zeros(coder.units)}


def magnitude(coder: Coder, r: Readings) -> Tensor:
    t = coder.tensors
    size = (r.raw - r.of(t["b_enc"])) * r.of(t["r_mag"].exp()) + r.of(t["b_mag"])
    return torch.where(r.raw > 0, size.relu(), 0.0)


@dataclass(frozen=True)
class GateLoss:
    """A term of a loss: what the gate's reading leaves unexplained, and the penalty on it."""

    penalty: float
    warm_up: float

    def __call__(self, coder: Coder, seen: Pass) -> Tensor:
        t, r, gate = coder.tensors, seen.r, seen.r.raw.relu()
        guess = r.write(gate, t["W_dec"].detach()) + t["b_dec"].detach()
        paid = r.mean(gate * r.of(coder.length(t["W_dec"])))
        return coder.unexplained(guess - seen.y) + seen.now.ramp(self.warm_up) * self.penalty * paid / coder.size


def with_gates(coder: Coder, given: dict[str, Any], x: Scaling, y: Scaling) -> dict[str, Any]:
    t = coder.tensors
    gates = {"b_gate": given["b_enc"], "b_mag": y.size * t["b_mag"], "r_mag": t["r_mag"]}
    return gates | {name: v for name, v in given.items() if name != "b_enc"}
