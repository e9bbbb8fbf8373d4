"""Intervals of shares."""

from __future__ import annotations

from math import sqrt


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n draws.

    >>> wilson(0.0, 20)
    (0.0, 0.161...)
    """
    z2 = 1.959964**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)
