"""Intervals: of draws, and of shares."""

from __future__ import annotations

from math import isfinite, sqrt

import numpy as np


def middle(values: np.ndarray) -> tuple[float, float]:
    """The ends of the middle 95 % of some draws. One that is no number may lie at either end, so it counts at both.

    Returns: (nan, nan) where these are more than one in forty.
    """
    finite = np.isfinite(values)
    with np.errstate(all="ignore"):
        low = float(np.percentile(np.where(finite, values, -np.inf), 2.5))
        high = float(np.percentile(np.where(finite, values, np.inf), 97.5))
    bounded = isfinite(low) and isfinite(high)
    return (low, high) if bounded else (float("nan"), float("nan"))


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n draws.

    >>> wilson(0.0, 20)
    (0.0, 0.161...)
    """
    z2 = 1.959964**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)
