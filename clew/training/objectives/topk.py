"""Learn a TopK autoencoder. Source: Gao et al. 2024 (arXiv:2406.04093)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import TopK
from clew.training.objective import Clock
from clew.training.objectives._checks import check_k
from clew.training.objectives._coder import Coder, Decoder, Design
from clew.training.objectives._ranked import Ranked
from clew.training.objectives._revive import Revive
from clew.training.objectives._sparse import Active


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
    return Coder(units, design(units, k, first_k, half), lr=lr, decoder=decoder, dead_after=dead_after)


@dataclass(frozen=True)
class Best:
    """The k largest of each row; first_k at first, coming down to k over the first half of the steps."""

    k: int
    first_k: int

    def __call__(self, raw: Float[Tensor, "row unit"], now: Clock) -> Active:
        k = self.k + round((self.first_k - self.k) * (1 - now.ramp(0.5)))
        return Active.rows(raw.topk(k, dim=1, sorted=False).indices, raw.shape[1])


def design(units: int, k: int, first_k: int | None, half: bool | None) -> Design:
    """What all that keep the k largest of a row share. Raises: ValueError when k does not fit."""
    check_k(k, units)
    if first_k is not None and not k <= first_k <= units:
        raise ValueError(f"first_k is {first_k}; it must lie between k, {k}, and the number of units, {units}")
    return Design(Ranked(Best(k, first_k or k), half=half), partial(TopK, k=k), (Revive(),))
