"""Ratio: a share for what helps the behaviour, the rest for whatever matters."""

from __future__ import annotations

import numpy as np

from clew.circuits.circuit import Circuit
from clew.circuits.selection._items import check_budget, pick, scores


def ratio(circuit: Circuit, n: int, rho: float = 0.5, *, signed: bool = False) -> Circuit:
    """The floor(n rho) items of largest positive score, then the strongest others by |score|, n in all.

    Items are edges, or nodes where there are none. Fewer positive ones leave more room for the rest.

    Args:
        rho: from 0, which is `top`, to 1, which is `top(signed=True)` as long as n items are positive. The source tunes
            it for each task on validation prompts.
        signed: fill the rest by signed score, which is `top(signed=True)` whatever rho is; for measures that ask
            every selection for both rankings.
    Raises: ValueError for a rho outside [0, 1], an n below 0, or scores that are nan.
    Source: the positive-negative ratio of the BlackboxNLP 2025 shared task on MIB (arXiv:2504.13151).
    """
    check_budget(n)
    if not 0 <= rho <= 1:
        raise ValueError(f"rho is the share kept for positive scores, from 0 to 1, not {rho}")
    score = scores(circuit, signed=True)
    helps = np.argsort(-score, kind="stable")[: min(int(n * rho + 1e-9), int((score > 0).sum()))]
    rest = np.argsort(-scores(circuit, signed=signed), kind="stable")
    rest = rest[~np.isin(rest, helps, kind="table")]
    return pick(circuit, np.concatenate([helps, rest])[:n])
