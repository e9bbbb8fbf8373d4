"""Fuzzing: are the tokens that are marked in a window those on which the unit fires?

Source: Paulo et al. 2024, arXiv:2410.13928. Differs: what is marked wrongly is drawn anew for each window, in equal number,
half of it in windows in which the unit fires and half in others; an answer that cannot be read is neither yes nor no.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from clew.explain._said import said_of_marks
from clew.explain.scorers._chosen import chosen
from clew.readings.unseen import Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import auroc, balanced_accuracy, bounds, resampled

MARKED = 0.3
"""A token is marked that is at least this share of the strongest in its window."""


def fuzzing(
    explanation: Explanation, unseen: Unseen, unit: str, *, windows: int = 100, seed: int = 0
) -> tuple[Row, ...]:
    """AUROC by the mean that is predicted of what is marked, or by the probability of a yes, and balanced accuracy.

    Of a rule a yes is that it predicts at least half of what is marked.

    Args:
        unit: its address, such as resid.7/12.
        windows: marked rightly, at most; as many are marked wrongly.
        seed: draws what is marked wrongly, and documents for the intervals.

    Returns: "fuzzing AUROC" and "fuzzing accuracy"; where somebody was asked, the share of answers that could not be read.
    """
    values = unseen.values(unit, explanation.side)
    some, random = chosen(unseen, unit, values, windows, seed), np.random.default_rng(seed)
    right = [_marked(values, unseen.tokens(w)) for w in some.fires.tolist()]
    others = np.concatenate([some.fires[::2], some.random])[: len(right)]
    pairs = zip(others.tolist(), right, strict=False)
    wrong = [_others(random, values, unseen.tokens(w), len(marks)) for w, marks in pairs]
    every = zip([*some.fires.tolist(), *others.tolist()], [*right, *wrong], strict=True)
    marks = [(w, m) for w, m in every if len(m)]
    positive = np.array([bool((values[m] > 0).all()) for _, m in marks], dtype=bool)
    said = said_of_marks(explanation, unseen, marks)
    weights = resampled(unseen.document_of(np.array([w for w, _ in marks], dtype=np.int64)), seed=seed)
    return (
        Row("fuzzing AUROC", *bounds(auroc(said.score, positive, weights)), of="all", examples=len(marks)),
        Row(
            "fuzzing accuracy", *bounds(balanced_accuracy(said.fires, positive, weights)), of="all", examples=len(marks)
        ),
        *said.unread("fuzzing unread", weights),
    )


def _marked(values: Float[np.ndarray, " token"], tokens: Int[np.ndarray, " inside"]) -> Int[np.ndarray, " marked"]:
    return tokens[values[tokens] >= MARKED * values[tokens].max()]


def _others(
    random: np.random.Generator, values: Float[np.ndarray, " token"], tokens: Int[np.ndarray, " inside"], n: int
) -> Int[np.ndarray, " marked"]:
    """As many tokens on which the unit is silent."""
    return random.permutation(tokens[values[tokens] == 0])[:n]
