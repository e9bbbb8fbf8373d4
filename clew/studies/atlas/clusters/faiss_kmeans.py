"""Spherical k-means by faiss: for contexts by the hundred thousand, in many clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clew.studies.atlas.clusters.spherical_kmeans import ROUNDS


def faiss_kmeans(
    vectors: Float[np.ndarray, "context dim"], k: int, *, seed: int = 0, starts: int = 3
) -> Int[np.ndarray, " context"]:
    """Which of k clusters each is in, as by `spherical_kmeans`, but begun at k contexts drawn at random.

    Args: vectors: of length 1. starts: how many times it begins anew; the best is kept.
    Raises: ImportError naming the extra.
    Source: Dhillon & Modha 2001; Douze et al. 2024 (arXiv:2401.08281). Differs: in threads of faiss's own.
    """
    x = np.ascontiguousarray(vectors, np.float32)
    how = {"niter": ROUNDS, "nredo": starts, "seed": seed, "spherical": True, "min_points_per_centroid": 1}
    made = _faiss().Kmeans(x.shape[1], k, max_points_per_centroid=len(x), **how)
    made.train(x)
    _, which = made.index.search(x, 1)
    return which[:, 0].astype(np.int64)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError("clustering by faiss needs it: pip install 'clew[faiss]'") from error
    return faiss
