"""Learn a transcoder with a linear skip. Source: Paulo et al. 2025 (arXiv:2501.18823)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.training.objective import Coder, Decoder, Moment, Scaling
from clew.training.objectives.transcoder import Transcoder

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
    return SkipTranscoder(units, k, lr=lr, decoder=decoder, dead_after=dead_after, half=half)


class SkipTranscoder(Transcoder):
    """The units learn what `W_skip` [d_in, d_out] leaves."""

    def start(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], g: torch.Generator) -> None:
        super().start(x, y, g)
        of, to = x - x.mean(0), y - y.mean(0)
        ridge = RIDGE * of.square().mean() * len(of) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        self.tensors["W_skip"] = torch.linalg.solve(of.T @ of + ridge, of.T @ to).contiguous()
        self.tensors["b_dec"] -= x.mean(0) @ self.tensors["W_skip"]

    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Moment) -> Float[Tensor, ""]:
        return super().loss(x, y - x @ self.tensors["W_skip"], now)

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        return super().reconstruct(x) + x @ self.tensors["W_skip"]

    def folded(self, x: Scaling, y: Scaling) -> dict[str, Any]:
        made = super().folded(x, y)
        skip = self.tensors["W_skip"] * y.scale / x.scale[:, None]
        return made | {"W_skip": skip, "b_dec": made["b_dec"] - x.centre @ skip}
