"""How good a cluster is: how far from others, and how much of it the last tokens alone explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from clew.studies.atlas._sklearn import sklearn
from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.contexts import Contexts

LONGEST = 3
"""Tokens of the longest run that is counted: two of the context and the answer."""
TRIVIAL = 0.8
"""A cluster is trivial where this share of it is one pair of last token and answer."""


@dataclass(frozen=True)
class Quality:
    """What one cluster is like."""

    size: int
    documents: int
    silhouette: float
    """How much nearer its members are to each other than to the next cluster, by cosine: -1 to 1; nan for one member."""
    entropy: float
    """Of its answers, in nats: 0 where all are one token, log(size) where all differ."""
    ngrams: tuple[float, ...]
    """The share of the most common answer, of the most common pair of last token and answer, and of the last two and it."""

    @property
    def trivial(self) -> bool:
        """Whether a table of pairs of tokens would do as well."""
        return self.ngrams[1] >= TRIVIAL


def qualities(
    given: Contexts, clustering: Clustering, vectors: Float[np.ndarray, "context dim"]
) -> tuple[Quality, ...]:
    """The quality of each cluster, in their order."""
    near = np.full(len(given), np.nan)
    if 1 < clustering.k < len(given):
        near = sklearn("metrics").silhouette_samples(vectors, clustering.which, metric="cosine")
    return tuple(_quality(given.take(index), near[index]) for index in map(clustering.members, range(clustering.k)))


def _quality(members: Contexts, near: np.ndarray) -> Quality:
    answers = members.answer.tolist()
    shares = np.array(list(Counter(answers).values())) / len(members)
    runs = [[(*members.prompt(i)[-n:], answers[i]) for i in range(len(members))] for n in range(1, LONGEST)]
    return Quality(
        size=len(members),
        documents=len(np.unique(members.document)),
        silhouette=float(near.mean()) if len(members) > 1 else float("nan"),
        entropy=float(-(shares * np.log(shares)).sum()) + 0.0,
        ngrams=(_most(answers), *map(_most, runs)),
    )


def _most(values: Sequence[Hashable]) -> float:
    return max(Counter(values).values()) / len(values)
