"""Learn a Matryoshka autoencoder: the first units alone must do, then the first more, ...

Source: Bussmann et al. 2025 (arXiv:2503.17547). General features stay whole in the early units instead of being split
among, or absorbed by, special ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from clew.training.objectives import batchtopk
from clew.training.objectives._coder import Coder, Decoder
from clew.training.objectives._readings import Readings
from clew.training.objectives._sparse import write


def matryoshka(
    *,
    units: int,
    k: int,
    prefixes: Sequence[float] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0),
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """A BatchTopK autoencoder whose loss is the mean over nested prefixes of its units.

    Args:
        prefixes: shares of the units, rising to 1.
        The others are as for `topk`.

    All prefixes together cost one decoding: block after block is added to what stands. Differs from the paper: equal
    weights, fixed prefixes. Raises: ValueError when k or the prefixes do not fit.
    """
    design = replace(batchtopk.design(units, k, half), errors=Prefixes(ends(prefixes, units)))
    return Coder(units, design, lr=lr, decoder=decoder, dead_after=dead_after)


def ends(prefixes: Sequence[float], units: int) -> tuple[int, ...]:
    """Where each prefix ends, in units. Raises: ValueError when they do not rise to all of them."""
    found = [round(share * units) for share in prefixes]
    if sorted(set(found)) != found or not found or found[0] < 1 or found[-1] != units:
        raise ValueError(
            f"prefixes are {list(prefixes)}; of {units} units they must rise, hold at least one unit each, and end in 1"
        )
    return tuple(found)


@dataclass(frozen=True)
class Prefixes:
    """The errors of a coder, one for each prefix of its units."""

    ends: tuple[int, ...]

    def __call__(
        self, coder: Coder, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"]
    ) -> tuple[Tensor, list[Tensor]]:
        assert r.active is not None  # units that are ranked are listed
        error, shares = coder.tensors["b_dec"] - y, []
        for first, end in zip([0, *self.ends], self.ends, strict=False):
            inside = (r.active.unit >= first) & (r.active.unit < end)
            error = error + write(value[inside], coder.tensors["W_dec"], r.active.where(inside))
            shares.append(coder.unexplained(error))
        return error, shares
