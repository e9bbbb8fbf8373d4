"""Bootstrap intervals of many draws at once, for numbers that can be had from weights of examples."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.statistics.intervals import middle

Weights = Float[np.ndarray, "draw example"]


def resampled(groups: Int[np.ndarray, " example"], *, draws: int = 400, seed: int = 0) -> Weights:
    """How often each example comes in each draw, when groups are drawn with replacement; the first draw is all, once.

    Args: groups: of each example, what it is drawn with: the document it stands in.
    """
    _, which = np.unique(groups, return_inverse=True)
    n = int(which.max(initial=-1)) + 1
    return _times(n, draws, seed)[:, which] if n else np.ones((draws + 1, 0))


@lru_cache(64)
def _times(n: int, draws: int, seed: int) -> Float[np.ndarray, "draw group"]:
    """How often each of n groups comes in each draw."""
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    return np.concatenate([np.ones((1, n)), times]).astype(np.float64)


def bounds(values: Float[np.ndarray, " draw"]) -> tuple[float, float, float]:
    """The value of the first draw and its 95 % percentile interval; (nan, nan) where a draw in forty has none."""
    first, rest = float(values[0]), values[1:]
    known = np.isfinite(first) and len(rest)
    return first, *(middle(rest) if known else (float("nan"), float("nan")))


def auroc(
    score: Float[np.ndarray, " example"], positive: Bool[np.ndarray, " example"], weights: Weights
) -> Float[np.ndarray, " draw"]:
    """The chance that a positive scores higher than a negative, a tie counted as half; nan in draws without either.

    >>> auroc(np.array([2.0, 1.0]), np.array([True, False]), np.ones((1, 2)))
    array([1.])
    """
    if not len(score):
        return np.full(len(weights), np.nan)
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) > 0]))
    above = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    below = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    wins = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return wins / (above.sum(axis=1) * below.sum(axis=1))


def balanced_accuracy(
    said: Bool[np.ndarray, " example"] | Float[np.ndarray, " example"],
    positive: Bool[np.ndarray, " example"],
    weights: Weights,
) -> Float[np.ndarray, " draw"]:
    """The mean of the shares of positives and of negatives that are said to be what they are.

    Args: said: whether each is positive; of what is said between 0 and 1, a share is right.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        right = weights * np.where(positive, said, 1 - said.astype(np.float64))
        shares = [right[:, some].sum(1) / weights[:, some].sum(1) for some in (positive, ~positive)]
    return (shares[0] + shares[1]) / 2


def correlation(
    x: Float[np.ndarray, " example"],
    y: Float[np.ndarray, " example"],
    groups: Int[np.ndarray, " example"],
    *,
    draws: int = 400,
    seed: int = 0,
) -> Float[np.ndarray, " draw"]:
    """Pearson's r of all examples, then of draws of their groups; nan where either does not vary.

    It is made from sums over each group, so that a draw costs as little as there are groups.
    """
    _, first, which = np.unique(groups, return_index=True, return_inverse=True)
    columns = (np.ones_like(x), x, y, x * x, y * y, x * y)
    sums = np.stack([np.bincount(which, c, minlength=len(first)) for c in columns], axis=1)
    n, sx, sy, xx, yy, xy = (resampled(np.arange(len(first)), draws=draws, seed=seed) @ sums).T
    with np.errstate(invalid="ignore", divide="ignore"):
        vx, vy = n * xx - sx * sx, n * yy - sy * sy
        flat = (vx <= 1e-12 * n * xx) | (vy <= 1e-12 * n * yy)
        return np.where(flat, np.nan, (n * xy - sx * sy) / np.sqrt(np.where(flat, 1, vx * vy)))
