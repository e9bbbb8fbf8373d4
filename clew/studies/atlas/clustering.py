"""Clusters of contexts, and how many of them there are: the number at which two halves of a text agree most."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int

from clew.files import parse_json, typed, whole
from clew.finder import load
from clew.progress import Tell
from clew.studies.atlas._sklearn import sklearn
from clew.tensors import check_held, read_tensors, write_tensors

FORMAT = "clew clusters"
SHARE, DRAWS = 0.8, 3
"""Of the contexts that each of two clusterings is made from, and how many pairs of them are compared."""


@dataclass(frozen=True, eq=False)
class Clustering:
    """Which cluster each context is in; the largest is 0."""

    which: Int[np.ndarray, " context"]
    stability: Mapping[int, float] = field(default_factory=dict[int, float])
    """By number of clusters that was tried, how well clusterings of two samples agree: the mean adjusted Rand index."""

    def save(self, path: str | Path, made_of: Mapping[str, str] = MappingProxyType({})) -> Path:
        """One file of tensors. Args: made_of: said in its header beside."""
        said = json.dumps({str(k): value for k, value in self.stability.items()})
        which = torch.from_numpy(np.ascontiguousarray(self.which, np.int64))
        return write_tensors(path, {"which": which}, {"format": FORMAT, "stability": said, **made_of})

    @classmethod
    def load(cls, path: str | Path) -> Clustering:
        """Raises: ValueError naming the file and what is wrong with it."""
        with whole(path, "clusters"):
            tensors, about = read_tensors(path)
            check_held(tensors, ("which",), str(path))
            which = tensors["which"].numpy()
            if (
                which.ndim != 1
                or which.dtype != np.int64
                or not len(which)
                or set(np.unique(which)) != set(range(which.max() + 1))
            ):
                raise ValueError("its clusters are not numbered from 0 on")
            told = typed(parse_json(about.get("stability", "{}"), "its stability"), "its stability", dict)
            return cls(which, {int(k): typed(value, f"stability: {k}", float) for k, value in told.items()})

    @property
    def k(self) -> int:
        return int(self.which.max()) + 1

    def members(self, cluster: int) -> Int[np.ndarray, " member"]:
        """The contexts of one."""
        return np.flatnonzero(self.which == cluster)


def clustered(
    vectors: Float[np.ndarray, "context dim"],
    k: int | Sequence[int],
    *,
    by: str = "spherical_kmeans",
    seed: int = 0,
    progress: Tell | None = None,
) -> Clustering:
    """The contexts in clusters.

    Args:
        k: how many; of several numbers the one at which clusterings of samples agree most, the larger of equals.
        by: a file of clew/studies/atlas/clusters.

    Raises: ValueError for vectors that are not finite, or a number of clusters that there cannot be.
    Source: for the number, Ben-Hur et al. 2002 and Lange et al. 2004; agreement is Hubert & Arabie 1985, 0 by chance.
    """
    method = load("studies.atlas.clusters", by)
    numbers = [k] if isinstance(k, int) else sorted(set(k))
    if not np.isfinite(vectors).all():
        raise ValueError("some vectors hold values that are not finite numbers")
    if not numbers or numbers[0] < 2 or numbers[-1] * 2 > SHARE * len(vectors):
        raise ValueError(
            f"k={k}: {len(vectors)} contexts can be put into 2 to {int(SHARE * len(vectors) / 2)} clusters; give such numbers"
        )
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    stability = {n: _agreement(unit, n, method, seed, progress) for n in numbers} if len(numbers) > 1 else {}
    chosen = max(stability, key=lambda n: (stability[n], n)) if stability else numbers[0]
    return Clustering(_by_size(method(unit, chosen, seed=seed)), stability)


def _agreement(unit: np.ndarray, k: int, method: Callable[..., np.ndarray], seed: int, progress: Tell | None) -> float:
    score, rng, values = sklearn("metrics").adjusted_rand_score, np.random.default_rng([seed, k]), list[float]()
    for draw in range(DRAWS):
        one, two = (np.sort(rng.permutation(len(unit))[: int(SHARE * len(unit))]) for _ in range(2))
        _, in_one, in_two = np.intersect1d(one, two, return_indices=True)
        first, second = method(unit[one], k, seed=seed + draw), method(unit[two], k, seed=seed + draw)
        values.append(float(score(first[in_one], second[in_two])))
        if progress:
            progress(draw + 1, DRAWS)
    return float(np.mean(values))


def _by_size(which: np.ndarray) -> np.ndarray:
    sizes = np.bincount(which)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    rank = np.empty(len(sizes), np.int64)
    rank[order] = np.arange(len(order))
    return rank[which]
