"""Which of a unit's two sides are explained."""

from __future__ import annotations

import numpy as np

from clew.explain._fit import PLACES
from clew.firings import Fired


def sides_of(row: Fired, both: bool) -> list[int]:
    """The side on which a unit sums to more, and the other if it fires there often enough."""
    total = {side: float(np.maximum(side * row.value, 0).sum()) for side in (1, -1)}
    best = 1 if total[1] >= total[-1] else -1
    often = np.count_nonzero(-best * row.value > 0) >= 4 * PLACES
    return [best, -best] if both and often else [best]
