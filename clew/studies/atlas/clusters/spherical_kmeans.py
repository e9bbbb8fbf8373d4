"""Spherical k-means: clusters of directions, each around the mean direction of its members."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clew.studies.atlas._sklearn import sklearn, sparse

ROUNDS = 50


def spherical_kmeans(
    vectors: Float[np.ndarray, "context dim"], k: int, *, seed: int = 0, starts: int = 3
) -> Int[np.ndarray, " context"]:
    """Which of k clusters each is in, so that the sum of cosines to the clusters' mean directions is large.

    Args: vectors: of length 1. starts: how many times it begins anew, by k-means++; the best is kept.
    Source: Dhillon & Modha 2001. Differs: a cluster that loses its last member takes the one farthest from its own.
    """
    best, found = -np.inf, np.zeros(len(vectors), np.int64)
    for start in range(starts):
        centres, _ = sklearn("cluster").kmeans_plusplus(vectors, k, random_state=seed + start)
        value, which = _climbed(vectors, centres)
        if value > best:
            best, found = value, which
    return found


def _climbed(vectors: np.ndarray, centres: np.ndarray) -> tuple[float, np.ndarray]:
    which = np.full(len(vectors), -1)
    value = -np.inf
    for _ in range(ROUNDS):
        cosine = vectors @ centres.T
        new = cosine.argmax(1)
        near = cosine[np.arange(len(vectors)), new]
        for empty in np.flatnonzero(np.bincount(new, minlength=len(centres)) == 0):
            far = int(near.argmin())
            new[far], near[far] = empty, np.inf
        value = float(np.minimum(near, 1).sum())
        if np.array_equal(new, which):
            break
        which = new
        sums = _members(which, len(centres)) @ vectors
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return value, which


def _members(which: np.ndarray, k: int) -> Any:
    """A sparse table of ones: of each cluster, its members."""
    ones, shape = np.ones(len(which), np.float32), (k, len(which))
    return sparse("csr_matrix")((ones, (which, np.arange(len(which)))), shape=shape)
