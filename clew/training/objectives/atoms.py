"""Learn atoms: a JumpReLU dictionary that is read in the metric in which the activations are white.

Source: arXiv:2509.20784 (2025), "atoms".
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.training.objective import Decoder
from clew.training.objectives._gates import GateCoder
from clew.training.objectives.jumprelu import JumpReLUCoder


def atoms(
    *,
    units: int,
    l0: float | None = None,
    penalty: float | None = None,
    ridge: float = 0.1,
    bandwidth: float = 0.5,
    threshold_lr: float = 0.03,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> GateCoder:
    """Directions D and thresholds; the encoder is D in the atomic inner product, the inverse second moment of the rows.

    In that metric a direction is read by where it stands out from all the others, not by its length: of all linear
    readings that are 1 on the direction it is the one that rows disturb least.

    Args:
        ridge: this share of the mean variance is added to every coordinate's before the inverse is taken.
        The others are as for `jumprelu`.

    Differs from the source: the second moment is that of centred rows, a bias is learnt beside the directions, and
    readings are divided by <d, d>, so that a code is a length along its direction. Becomes a JumpReLU dictionary.
    Raises: ValueError when an option does not fit.
    """
    if not ridge > 0:
        raise ValueError(f"ridge is {ridge}; it must be above 0, or a direction without variance could not be read")
    return AtomsCoder(
        units,
        l0,
        penalty,
        ridge=ridge,
        bandwidth=bandwidth,
        threshold_lr=threshold_lr,
        warm_up=warm_up,
        lr=lr,
        decoder=decoder,
        dead_after=dead_after,
    )


class AtomsCoder(JumpReLUCoder):
    """Tied: `W_dec` is learnt, `metric` [d, d] stands fixed."""

    def __init__(self, units: int, l0: float | None, penalty: float | None, *, ridge: float, **rest: Any) -> None:
        super().__init__(units, l0, penalty, **rest)
        self.ridge = ridge

    def further(self, x: Float[Tensor, "row d_in"]) -> None:
        self.state["metric"] = whitening(x, self.ridge)
        self.tensors = {name: self.tensors[name] for name in ("W_dec", "b_dec")}
        super().further(x)

    def scale(self, factor: Float[Tensor, ""]) -> None:
        """Nothing: what is read of a direction is its length."""

    @property
    def matrices(self) -> dict[str, Tensor]:
        D = self.tensors["W_dec"]
        read = D @ self.state["metric"]
        W_enc = read / (read * D).sum(1, keepdim=True)
        return {"W_enc": W_enc, "b_enc": D.new_zeros(self.units), "W_dec": D, "b_dec": self.tensors["b_dec"]}


def whitening(x: Float[Tensor, "row d"], ridge: float) -> Float[Tensor, "d d"]:
    """The inverse of E[x x^T] with its diagonal raised by `ridge` times its mean."""
    second = x.T @ x / len(x)
    mean = second.diagonal().mean()
    return torch.linalg.inv(second + ridge * mean * torch.eye(len(second)).to(second))
