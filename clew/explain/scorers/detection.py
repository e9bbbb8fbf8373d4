"""Detection: does the explanation tell windows in which the unit fires from windows in which it does not?

Source: Paulo et al. 2024, arXiv:2410.13928, where a language model reads the explanation; so it is here for one in words,
while a rule is executed. Differs: windows are of other documents than those the explanation was made from, half of the silent
windows look like the unit's own (they hold tokens on which it fires elsewhere, or its nearest units fire in them), both kinds
are also told alone, and an answer that cannot be read is neither yes nor no and is counted.
"""

from __future__ import annotations

import numpy as np

from clew.explain._said import said_of_windows
from clew.explain.scorers._chosen import chosen
from clew.readings.said import Said
from clew.readings.unseen import Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import auroc, balanced_accuracy, bounds, resampled


def detection(
    explanation: Explanation, unseen: Unseen, unit: str, *, windows: int = 100, seed: int = 0
) -> tuple[Row, ...]:
    """AUROC by the strongest that is predicted in a window, or by the probability of a yes, and balanced accuracy.

    Args:
        unit: its address, such as resid.7/12.
        windows: in which the unit fires, at most; as many in which it does not.
        seed: draws the silent windows, and documents for the intervals.

    Returns: "detection AUROC" and "detection accuracy" against all silent windows, and AUROC against random and hard ones;
        where somebody was asked, the share of answers that could not be read.
    """
    values = unseen.values(unit, explanation.side)
    some = chosen(unseen, unit, values, windows, seed)
    every = some.every
    said, n, random = said_of_windows(explanation, unseen, every), len(some.fires), len(some.random)

    def row(measure: str, of: str, here: slice) -> Row:
        both = np.r_[:n, here]
        part, positive, weights = said[both], both < n, resampled(unseen.document_of(every[both]), seed=seed)
        return Row(measure, *bounds(_drawn(measure, part, positive, weights)), of=of, examples=len(both))

    return (
        row("detection AUROC", "all", slice(n, len(every))),
        row("detection accuracy", "all", slice(n, len(every))),
        row("detection AUROC", "random", slice(n, n + random)),
        row("detection AUROC", "hard", slice(n + random, len(every))),
        *said.unread("detection unread", resampled(unseen.document_of(every), seed=seed)),
    )


def _drawn(measure: str, said: Said, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    sharp = measure == "detection accuracy"
    return balanced_accuracy(said.fires, positive, weights) if sharp else auroc(said.score, positive, weights)
