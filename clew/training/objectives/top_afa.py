"""Learn a top-AFA autoencoder. Source: Lee et al. 2025 (arXiv:2503.24277)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import TopAFA
from clew.dictionaries.top_afa import matching
from clew.training.objectives._checks import check_weight
from clew.training.objectives._coder import Coder, Decoder, Design, Pass
from clew.training.objectives._gates import Gates
from clew.training.objectives._readings import Readings
from clew.training.objectives._revive import Revive


def top_afa(
    *,
    units: int,
    penalty: float = 16.0,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> Coder:
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
    terms = (Lengths(check_weight("penalty", penalty)), Revive())
    design = Design(Gates(as_long, strongest), TopAFA, terms, frozen=frozenset({"b_enc"}))
    return Coder(units, design, lr=lr, decoder=decoder, dead_after=dead_after)


def as_long(coder: Coder, raw: Float[Tensor, "row unit"], seen: Float[Tensor, "row d_in"]) -> Bool[Tensor, "row unit"]:
    """The strongest units of each row, as many as make up its length."""
    index, kept = matching(raw.relu() * coder.tensors["W_dec"].norm(dim=1), seen.norm(dim=1))
    return torch.zeros_like(raw, dtype=torch.bool).scatter_(1, index, kept)


def strongest(coder: Coder, r: Readings) -> Tensor:
    return r.only_open(r.raw.relu())


@dataclass(frozen=True)
class Lengths:
    """A term of a loss: the mean squared difference between the lengths of code and row, as a share of variance."""

    penalty: float

    def __call__(self, coder: Coder, seen: Pass) -> Tensor:
        code = seen.r.by_row(seen.value.square()).clamp_min(1e-12).sqrt()
        away = code - seen.r.x.detach().norm(dim=1)
        return self.penalty * away.square().mean() / coder.state["variance"]
