"""An encoder and a decoder matrix, whoever learns them: how their rows start, keep their length, and are folded back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clew.training.objective import Scaling
from clew.training.objectives._checks import check_units


def rate(units: int, lr: float | None) -> float:
    """Adam's rate as given, or that which suits so many units.

    Gao et al. (2024) have 2e-4 * sqrt(2^14 / units), for a thousand times the steps a laptop can do.
    """
    usual = 4e-3 * math.sqrt(2304 / check_units(units))
    return usual if lr is None else lr


def some_rows(
    units: int, x: Float[Tensor, "row d"], g: torch.Generator, mine: slice = slice(None)
) -> Float[Tensor, "unit d"]:
    """The directions of so many rows of x, of length one; of all that are drawn those that are `mine`.

    Raises: ValueError for fewer rows than units.
    """
    if len(x) < units:
        raise ValueError(
            f"{len(x)} activations are too few to start {units} units from; record more or ask for fewer units"
        )
    rows = x[torch.randperm(len(x), generator=g)[:units][mine].to(x.device)]
    # A little noise keeps two equal activations from making one unit twice.
    return F.normalize(rows + 1e-3 * torch.randn(units, x.shape[1], generator=g)[mine].to(rows), dim=1)


def random_rows(units: int, x: Float[Tensor, "row d"], g: torch.Generator) -> Float[Tensor, "unit d"]:
    """Random directions of length one, of the width of x."""
    return F.normalize(torch.randn(units, x.shape[1], generator=g).to(x), dim=1)


def variance(y: Float[Tensor, "row d"]) -> Float[Tensor, ""]:
    """The mean squared distance from the mean: what a squared error is a share of."""
    return (y - y.mean(0)).square().sum(1).mean()


def best_scale(made: Float[Tensor, "row d"], y: Float[Tensor, "row d"]) -> Float[Tensor, ""]:
    """By what `made` should be multiplied to come closest to y.

    With W_enc = s W_dec the reconstruction is about s times that of s = 1, so the best s is this ratio.
    """
    return (made * y).sum() / made.square().sum().clamp_min(1e-12)


def lengths(rows: Float[Tensor, "unit d"], widths: Sequence[int]) -> Float[Tensor, "unit site"]:
    """Of each site's share of the rows."""
    return torch.stack([part.norm(dim=1) for part in rows.split(list(widths), dim=1)], dim=1)


def across(grad: Float[Tensor, "unit d"], rows: Float[Tensor, "unit d"]) -> None:
    """Take out of a gradient, in place, what would only make `rows` of length one longer."""
    grad -= (grad * rows).sum(1, keepdim=True) * rows


def across_sites(grad: Float[Tensor, "unit d"], rows: Float[Tensor, "unit d"], widths: Sequence[int]) -> None:
    """Take out of a gradient, in place, what would only change the sum of the rows' `lengths`."""
    parts = rows.split(list(widths), dim=1)
    grows = torch.cat([part / part.norm(dim=1, keepdim=True).clamp_min(1e-12) for part in parts], dim=1)
    grad -= (grad * grows).sum(1, keepdim=True) / grows.square().sum(1, keepdim=True).clamp_min(1e-12) * grows


def folded(matrices: Mapping[str, Tensor], x: Scaling, y: Scaling, *, centred: bool) -> dict[str, Any]:
    """The arguments of a `Learned` dictionary: W_enc, b_enc, W_dec, b_dec, centred, in the units of x and y.

    A code comes out `y.size` times as large as in training; thresholds must grow with it.
    """
    t, unit = matrices, y.size
    return {
        "W_enc": (t["W_enc"] * (unit / x.scale)).T.contiguous(),
        "b_enc": unit * (t["b_enc"] if centred else t["b_enc"] - t["W_enc"] @ (x.centre / x.scale)),
        "W_dec": t["W_dec"] * (y.scale / unit),
        "b_dec": y.centre + y.scale * t["b_dec"],
        "centred": centred,
    }
