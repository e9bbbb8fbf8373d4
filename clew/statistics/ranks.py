"""Correlation of two lists of numbers, and of their ranks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Values = Float[np.ndarray, " value"]


def pearson(x: Values, y: Values) -> float:
    """Correlation; nan where either does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def spearman(x: Values, y: Values) -> float:
    """Correlation of ranks; nan where either does not vary."""
    return pearson(ranks(x), ranks(y))


def ranks(x: Values) -> Values:
    """From 1; equal values share the mean of theirs."""
    _, group, size = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(size) - (size - 1) / 2)[group]
