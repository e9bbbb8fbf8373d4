"""Detection: told apart by the explanation, windows in which the unit fires and windows in which it does not.

Source: Paulo et al. 2024, arXiv:2410.13928, where a language model reads the explanation; here it is executed. Differs:
the documents are others than those the explanation was made from, half of the silent windows look like the unit's own
(they hold tokens on which it fires elsewhere, or its nearest units fire in them), and both kinds are also told alone.
"""

from __future__ import annotations

import numpy as np

from clew.explain.scorers._chosen import chosen
from clew.readings.unseen import Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import auroc, balanced_accuracy, bounds, resampled


def detection(
    explanation: Explanation, unseen: Unseen, unit: str, *, windows: int = 100, seed: int = 0
) -> tuple[Row, ...]:
    """AUROC by the strongest that is predicted in a window, and balanced accuracy of whether anything is.

    Args:
        unit: its address, such as resid.7/12.
        windows: in which the unit fires, at most; as many in which it does not.
        seed: draws the silent windows, and documents for the intervals.

    Returns: "detection AUROC" and "detection accuracy" against all silent windows, and AUROC against random and hard ones.
    """
    values = unseen.values(unit, explanation.side)
    some = chosen(unseen, unit, values, windows, seed)
    said = unseen.most(unseen.predicted(explanation))

    def row(measure: str, of: str, silent: np.ndarray) -> Row:
        both = np.concatenate([some.fires, silent])
        positive = np.arange(len(both)) < len(some.fires)
        weights = resampled(unseen.document_of(both), seed=seed)
        sharp = measure == "detection accuracy"
        drawn = balanced_accuracy(said[both] > 0, positive, weights) if sharp else auroc(said[both], positive, weights)
        return Row(measure, *bounds(drawn), of=of, examples=len(both))

    silent = np.concatenate([some.random, some.hard])
    return (
        row("detection AUROC", "all", silent),
        row("detection accuracy", "all", silent),
        row("detection AUROC", "random", some.random),
        row("detection AUROC", "hard", some.hard),
    )
