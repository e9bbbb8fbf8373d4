"""Learn a transcoder: what an MLP puts out, as a sparse sum read from what goes in.

Source: Dunefsky et al. 2024 (arXiv:2406.11944), with TopK as in Paulo et al. 2025 (arXiv:2501.18823).
"""

from __future__ import annotations

from clew.training.objectives import topk
from clew.training.objectives._coder import Coder, Decoder


def transcoder(
    *,
    units: int,
    k: int,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """`units` readings of one site, of which k sum to what another holds: mlp_in.3 -> mlp.3.

    Args: as for `topk`. The decoder starts at zero and the encoder at rows of x; its biases make the mean of x read as
    zero. Decoder rows keep no fixed length. Raises: ValueError when k does not fit.
    """
    design = topk.design(units, k, None, half)
    return Coder(units, design, sites="pair", lr=lr, decoder=decoder, dead_after=dead_after)
