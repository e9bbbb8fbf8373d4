"""Embedding: are the texts in which the unit fires nearer to the explanation, by an encoder of sentences, than others?

Source: Paulo et al. 2024, arXiv:2410.13928. Differs: the windows are those of `detection`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from clew.explain._said import shown
from clew.explain.scorers._chosen import chosen
from clew.readings.unseen import Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import auroc, bounds, resampled

Encoder = Callable[[Sequence[str]], Any]
"""Texts to vectors [text, width]."""
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
QUERY = "texts about: {}"


def embedding(
    explanation: Explanation,
    unseen: Unseen,
    unit: str,
    *,
    encoder: str | Encoder = ENCODER,
    windows: int = 100,
    seed: int = 0,
) -> tuple[Row, ...]:
    """AUROC by the cosine of a text and the explanation.

    Args:
        unit: its address, such as resid.7/12.
        encoder: what sentence-transformers opens (extra `embeddings`), or a function from texts to vectors.
        windows: in which the unit fires, at most; as many in which it does not.
        seed: draws the silent windows, and documents for the interval.

    Raises: ImportError without sentence-transformers; ValueError for vectors that are not one for each text.
    """
    some = chosen(unseen, unit, unseen.values(unit, explanation.side), windows, seed)
    every = some.every
    texts = [shown(unseen.table.text, unseen.tokens(w)) for w in every.tolist()]
    near = _near(_opened(encoder) if isinstance(encoder, str) else encoder, QUERY.format(explanation), texts)
    weights = resampled(unseen.document_of(every), seed=seed)
    drawn = auroc(near if explanation else np.zeros(len(near)), np.arange(len(every)) < len(some.fires), weights)
    return (Row("embedding AUROC", *bounds(drawn), of="all", examples=len(every)),)


def _near(encoder: Encoder, query: str, texts: list[str]) -> np.ndarray:
    """The cosine of the query and each text."""
    vectors = np.asarray(encoder([query, *texts]), dtype=float)
    if vectors.ndim != 2 or len(vectors) != len(texts) + 1 or not np.isfinite(vectors).all():
        raise ValueError(
            f"the encoder gave {vectors.shape} for {len(texts) + 1} texts; a finite vector for each is due"
        )
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit[1:] @ unit[0]


@lru_cache(maxsize=1)
def _opened(name: str) -> Encoder:
    try:
        from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "the scorer embedding takes the package sentence-transformers (pip install 'clew[embeddings]'), or a function "
            "from texts to vectors as encoder="
        ) from error
    return SentenceTransformer(name).encode
