"""Learn a crosscoder with a penalty on norms. Source: Lindsey et al. 2024, Sparse Crosscoders for Cross-Layer Features."""

from __future__ import annotations

from clew.dictionaries import Crosscoder
from clew.training.objectives._coder import Coder, Decoder, Design
from clew.training.objectives._gates import Gates
from clew.training.objectives._revive import Revive
from clew.training.objectives.relu import L1


def crosscoder_l1(
    *,
    units: int,
    penalty: float = 0.1,
    warm_up: float = 0.1,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
) -> Coder:
    """`units` directions through several sites at once; a code is paid for by the lengths it writes.

    Args:
        penalty: what is made small is the unexplained share of variance plus `penalty` times the mean sum, over units
            and sites, of |code| times the length of the unit's direction there, over the root of the variance.
        The others are as for `relu`.

    Shrinks units that matter at one site to nothing at the others (Minder et al. 2025); `crosscoder` does not.
    Differs from the source: the sum of the lengths is held at one, which changes no code that can be had.
    Raises: ValueError when an option does not fit, or for fewer than two sites.
    """
    design = Design(Gates(), Crosscoder, (L1(penalty, warm_up), Revive()))
    return Coder(units, design, sites="several", lr=lr, decoder=decoder, dead_after=dead_after)
