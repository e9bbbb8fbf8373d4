"""Learn a transcoder with a linear skip. Source: Paulo et al. 2025 (arXiv:2501.18823)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.training.objective import Scaling
from clew.training.objectives import topk
from clew.training.objectives._coder import Coder, Decoder

RIDGE = 1e-3
"""Of the mean variance of x, added to each direction: few first rows must not be fitted to the last digit."""


def skip_transcoder(
    *,
    units: int,
    k: int,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """A transcoder to whose sum x @ W_skip is added, so that the units need not say what a matrix can.

    Args: as for `transcoder`. Differs from the paper, whose skip starts at zero: it starts at the least squares of the
    first rows, which leaves less unexplained after as many steps. Raises: ValueError when k does not fit.
    """
    design = replace(topk.design(units, k, None, half), begin=least_squares, beside=skip, fold=with_skip)
    return Coder(units, design, sites="pair", lr=lr, decoder=decoder, dead_after=dead_after)


def least_squares(coder: Coder, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"]) -> None:
    """Start `W_skip` [d_in, d_out] at what a matrix can say; the units learn what it leaves."""
    of, to = x - x.mean(0), y - y.mean(0)
    ridge = RIDGE * of.square().mean() * len(of) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    coder.tensors["W_skip"] = torch.linalg.solve(of.T @ of + ridge, of.T @ to).contiguous()
    coder.tensors["b_dec"] -= x.mean(0) @ coder.tensors["W_skip"]


def skip(coder: Coder, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
    return x @ coder.tensors["W_skip"]


def with_skip(coder: Coder, given: dict[str, Any], x: Scaling, y: Scaling) -> dict[str, Any]:
    skip = coder.tensors["W_skip"] * y.scale / x.scale[:, None]
    return given | {"W_skip": skip, "b_dec": given["b_dec"] - x.centre @ skip}
