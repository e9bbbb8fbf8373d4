"""Bootstrap: only what has a sign."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float

from clew.circuits.circuit import Circuit
from clew.circuits.selection._items import errors, kind, pick, scores
from clew.near import near

Correction = Literal["none", "bonferroni", "holm", "fdr"]


def bootstrap(circuit: Circuit, *, confidence: float = 0.95, correction: Correction = "none") -> Circuit:
    """The items whose sign is sure: mean ± z · standard error leaves out 0. Edges, or nodes where there are none.

    The standard errors are those over examples that the method kept, which is what the bootstrap's come to with
    many resamples; no example is attributed twice. Hand the result to another selection: `ratio(bootstrap(c), n, rho)`.

    Args:
        confidence: of the interval, two-sided, by the normal limit; with a handful of examples it is too narrow.
        correction: for looking at many items at once. "bonferroni" and "holm" hold the chance that any kept sign is
            noise to 1 - confidence, "fdr" (Benjamini and Hochberg) the share of kept ones that are.
    Raises: ValueError for items without a standard error (a single example, or a method that keeps none), or a
        confidence outside (0, 1).
    Source: the bootstrap filter of the BlackboxNLP 2025 shared task on MIB (arXiv:2504.13151). Differs: theirs divides
    the bootstrap's standard error once more by the square root of the number of resamples, which makes the interval the
    narrower the more one resamples (4.5 times at 20).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a probability such as 0.95, not {confidence}")
    if correction not in get_args(Correction):
        raise ValueError(f"{correction!r} is not a correction; {near(correction, get_args(Correction))}")
    score, error = scores(circuit, signed=True), errors(circuit)
    if np.isnan(error).any():
        raise ValueError(
            f"{np.isnan(error).sum()} of {len(error)} {kind(circuit)} have no standard error; find the circuit on two "
            "examples or more, with a method that keeps the spread over examples"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(score == 0, 0.0, np.abs(score) / error)
    p = torch.erfc(torch.as_tensor(z) / 2**0.5).numpy()
    return pick(circuit, np.flatnonzero(_significant(p, 1 - confidence, correction)))


def _significant(p: Float[np.ndarray, " item"], alpha: float, correction: Correction) -> Bool[np.ndarray, " item"]:
    """Which items pass at level alpha."""
    if correction in ("none", "bonferroni"):
        return p < (alpha if correction == "none" else alpha / max(1, len(p)))
    rank, items = np.arange(1, len(p) + 1), len(p)
    order = np.argsort(p, kind="stable")
    if correction == "holm":
        passed = np.logical_and.accumulate(p[order] < alpha / (items + 1 - rank))
    else:
        passed = rank <= (rank * (p[order] < alpha * rank / max(1, items))).max(initial=0)
    out = np.zeros(items, bool)
    out[order] = passed
    return out
