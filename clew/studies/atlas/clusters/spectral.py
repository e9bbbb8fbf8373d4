"""Spectral clustering on the angles between vectors: clusters of any shape, among few contexts."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from clew.studies.atlas._sklearn import sklearn

MOST = 20_000
"""More contexts than this have too many pairs for one table."""


def spectral(
    vectors: Float[np.ndarray, "context dim"], k: int, *, seed: int = 0, starts: int = 30
) -> Int[np.ndarray, " context"]:
    """Which of k clusters each is in, by the graph of angular similarities, 1 - arccos(cosine) / pi.

    Args: vectors: of length 1. starts: of the k-means among the eigenvectors.
    Raises: ValueError for more than 20,000 contexts.
    Source: Marks et al. 2024, section 5 (angular similarity, 30 starts).
    """
    if len(vectors) > MOST:
        raise ValueError(
            f"spectral clustering holds a table of all pairs, and {len(vectors):,} contexts are more than {MOST:,}; give "
            "fewer, or cluster by spherical_kmeans"
        )
    near = 1 - np.arccos(np.clip(vectors @ vectors.T, -1, 1)) / np.pi
    made = sklearn("cluster").SpectralClustering(k, affinity="precomputed", n_init=starts, random_state=seed)
    found: np.ndarray = made.fit_predict(near)
    return found.astype(np.int64)
