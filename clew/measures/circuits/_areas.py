"""Areas over a curve of circuit sizes: arithmetic on shares k and faithfulness f(k), knowing no model.

CPR, the circuit performance ratio, is the area under f; CMD, the circuit-model distance, the area under |1 - f|; both
by trapezoids between neighbouring sizes, so that each size has a fixed weight. Source: MIB (Mueller et al. 2025,
arXiv:2504.13151), section 3. Its areas are not divided by the range: f = 1 at every size gives CPR 0.999 from .001 to
1. Ours beside them, over log k, are, so that every factor between two sizes counts alike and f = 1 gives CPR 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def check_sizes(sizes: Sequence[float]) -> np.ndarray:
    """The sizes, [size]. Raises: ValueError unless they are two or more rising shares in (0, 1]."""
    k = np.asarray(sizes, np.float64)
    if k.ndim != 1 or len(k) < 2 or not (np.diff(k) > 0).all() or not 0 < k[0] < k[-1] <= 1:
        raise ValueError(
            f"sizes={tuple(sizes)}: give two or more shares of what is ranked, rising, above 0 and at most 1, "
            "such as (.01, .1, 1.0)"
        )
    return k


def weights(k: np.ndarray, *, log: bool = False) -> np.ndarray:
    """What each size counts for, [size]: half the gap to its neighbours; over log k, as parts of the whole range."""
    gap = np.diff(np.log(k) if log else k)
    return (np.append(gap, 0) + np.append(0, gap)) / 2 / (gap.sum() if log else 1)


def cpr(weight: np.ndarray, f: np.ndarray) -> float:
    """Area under f. Unbounded above: a circuit that leaves out what works against the behaviour exceeds 1."""
    return float(weight @ f)


def capped_cpr(weight: np.ndarray, f: np.ndarray) -> float:
    """Area under min(f, 1): CPR without the reward for overshooting the model."""
    return float(weight @ np.minimum(f, 1))


def cmd(weight: np.ndarray, f: np.ndarray) -> float:
    """Area under |1 - f|; 0 where every circuit does what the model does."""
    return float(weight @ np.abs(1 - f))


def no_signal(k: np.ndarray) -> np.ndarray:
    """The curve of a ranking that finds nothing, [size]: f = 0 at every size but the whole, where it must be 1."""
    return (k == 1).astype(np.float64)
