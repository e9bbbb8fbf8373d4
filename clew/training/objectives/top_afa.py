"""Learn a top-AFA autoencoder. Source: Lee et al. 2025 (arXiv:2503.24277)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import Dictionary, TopAFA
from clew.dictionaries.top_afa import matching
from clew.sites import Site
from clew.training.objective import Decoder, Moment, Scaling
from clew.training.objectives._gates import GateCoder, Readings, check


def top_afa(
    *,
    units: int,
    penalty: float = 16.0,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> GateCoder:
    """No k: a row takes as many of its strongest units as make up its own length.

    Args:
        penalty: weight of the mean squared difference between the lengths of code and row, as a share of variance; the
            paper's 1/128 to 1/16, of errors averaged over 768 dimensions, are 6 to 48 here. With little of it codes stay
            short and most units are on.
        lr, decoder, dead_after: as for `topk`.

    Differs from the source: rows are scaled all alike instead of each on its own, the row's length is that without the
    decoder's bias in the penalty too, and dead units learn as in `topk`.
    Raises: ValueError when an option does not fit.
    """
    return TopAFACoder(units, penalty, lr=lr, decoder=decoder, dead_after=dead_after)


class TopAFACoder(GateCoder):
    """There is no encoder bias."""

    def __init__(self, units: int, penalty: float, **rest: Any) -> None:
        super().__init__(units, **rest)
        self.penalty = check("penalty", penalty)
        self.frozen = self.frozen | {"b_enc"}

    def open(self, raw: Float[Tensor, "row unit"], x: Float[Tensor, "row d_in"]) -> Bool[Tensor, "row unit"]:
        index, kept = matching(raw.relu() * self.tensors["W_dec"].norm(dim=1), x.norm(dim=1))
        return torch.zeros_like(raw, dtype=torch.bool).scatter_(1, index, kept)

    def value(self, r: Readings) -> Tensor:
        return r.only_open(r.raw.relu())

    def cost(self, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"], now: Moment) -> Tensor:
        code = r.by_row(value.square()).clamp_min(1e-12).sqrt()
        return self.penalty * (code - r.x.detach().norm(dim=1)).square().mean() / self.state["variance"]

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        return TopAFA(reads[0], writes[0], **self.folded(x, y), **meta)
