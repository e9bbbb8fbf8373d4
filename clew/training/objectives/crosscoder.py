"""Learn a crosscoder: one sparse code for several sites, by BatchTopK. Source: Minder et al. 2025 (arXiv:2504.02922)."""

from __future__ import annotations

from dataclasses import replace

from clew.dictionaries import Crosscoder
from clew.training.objectives import batchtopk
from clew.training.objectives._coder import Coder, Decoder


def crosscoder(
    *,
    units: int,
    k: int,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """`units` directions through several sites at once, of which k sum to an activation on average.

    Units are ranked by value times the sum of their directions' lengths over the sites, and the k * batch largest
    survive; afterwards a threshold decides. Keeping k units rather than paying for them by length leaves a unit that
    matters at one site its small share at the others: an L1 penalty drives that to zero and makes false differences.

    Args: as for `topk`; each site is scaled to one size, whatever its width. Differs from the source: the sum of the
    lengths is held at one, which changes no code that can be had, and saves ranking by it.
    Raises: ValueError when k does not fit, or for fewer than two sites.
    """
    design = replace(batchtopk.design(units, k, half), kind=Crosscoder)
    return Coder(units, design, sites="several", lr=lr, decoder=decoder, dead_after=dead_after)
