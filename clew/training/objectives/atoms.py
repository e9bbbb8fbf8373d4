"""Learn atoms: a JumpReLU dictionary that is read in the metric in which the activations are white.

Source: arXiv:2509.20784 (2025), "atoms".
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from clew.training.objectives import jumprelu
from clew.training.objectives._coder import Coder, Decoder, nothing
from clew.training.objectives._matrices import rate


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
) -> Coder:
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
    lr = rate(units, lr)
    given = jumprelu.thresholds(units, l0, penalty, bandwidth, threshold_lr, warm_up, lr=lr)

    def begin(coder: Coder, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"]) -> None:
        coder.state["metric"] = whitening(x, ridge)
        coder.tensors = {name: coder.tensors[name] for name in ("W_dec", "b_dec")}
        given.begin(coder, x, y)

    # What is read of a direction is its length, so there is nothing to scale.
    design = replace(jumprelu.design(given), begin=begin, matrices=tied, scale=nothing)
    return Coder(units, design, lr=lr, decoder=decoder, dead_after=dead_after)


def tied(coder: Coder) -> dict[str, Tensor]:
    """`W_dec` is learnt, `metric` [d, d] stands fixed."""
    D = coder.tensors["W_dec"]
    read = D @ coder.state["metric"]
    W_enc = read / (read * D).sum(1, keepdim=True)
    return {"W_enc": W_enc, "b_enc": D.new_zeros(coder.units), "W_dec": D, "b_dec": coder.tensors["b_dec"]}


def whitening(x: Float[Tensor, "row d"], ridge: float) -> Float[Tensor, "d d"]:
    """The inverse of E[x x^T] with its diagonal raised by `ridge` times its mean."""
    second = x.T @ x / len(x)
    mean = second.diagonal().mean()
    return torch.linalg.inv(second + ridge * mean * torch.eye(len(second)).to(second))
