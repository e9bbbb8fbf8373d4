"""Tests in plain numpy: a binomial law, independence by kernels and permutations, Holm's correction."""

from __future__ import annotations

from math import lgamma, log

import numpy as np
from jaxtyping import Float


def log_choose(n: int, k: int) -> float:
    """log C(n, k)."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def binomial(n: int, p: float) -> Float[np.ndarray, " outcome"]:
    """Probability of 0 to n successes in n trials, each with probability 0 < p < 1."""
    ways = np.array([log_choose(n, k) for k in range(n + 1)])
    k = np.arange(n + 1)
    return np.exp(ways + k * log(p) + (n - k) * log(1 - p))


def near_half(wins: int | float, n: int, epsilon: float) -> float:
    """p of the null that a win has a probability within `epsilon` of one half; a tie is half a win.

    The largest probability, over that interval, of a count at least as far from n / 2; it is that at the ends.
    """
    as_far = np.abs(np.arange(n + 1) - n / 2) >= abs(wins - n / 2) - 1e-9
    return min(1.0, float(binomial(n, 0.5 + epsilon)[as_far].sum()))


def hsic(
    x: Float[np.ndarray, " example"], y: Float[np.ndarray, " example"], *, permutations: int, seed: int
) -> tuple[float, float]:
    """Hilbert-Schmidt independence criterion of two variables, and p of the null that they are independent.

    trace(K H L H) / n^2 with Gaussian kernels K of x and L of y, as wide as the median distance, and H = 1 - 1/n;
    p = (1 + b) / (1 + permutations) with b permutations of y that give at least as much. A constant is independent
    of everything: 0 and p = 1. Source: Gretton et al. 2007, "A kernel statistical test of independence", whose gamma
    approximation permutations replace. Costs: permutations x n^2.
    """
    n, random = len(x), np.random.default_rng(seed)
    one, two = _kernel(x), _kernel(y)
    one = one - one.mean(0) - one.mean(1, keepdims=True) + one.mean()
    found = float((one * two).sum() / n**2)
    orders = (random.permutation(n) for _ in range(permutations))
    as_much = sum(float((one * two[np.ix_(o, o)]).sum() / n**2) >= found - 1e-12 for o in orders)
    return found, (1 + as_much) / (1 + permutations)


def _kernel(x: Float[np.ndarray, " example"]) -> Float[np.ndarray, "example example"]:
    apart = np.abs(x[:, None] - x[None])
    if apart.max(initial=0) <= 1e-9 * max(1.0, np.abs(x).max(initial=0)):
        return np.ones_like(apart)
    return np.exp(-(apart**2) / (2 * np.median(apart[apart > 0]) ** 2))


def holm(p: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """p-values made larger so that one false rejection among all the tests has at most the probability alpha.

    Source: Holm 1979. The smallest is what Bonferroni makes of it; the others are not above Bonferroni's.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty_like(p)
    out[order] = np.minimum(stepped, 1)
    return out
