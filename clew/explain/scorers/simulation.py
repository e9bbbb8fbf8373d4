"""Simulation: how well the strengths that are predicted for every token agree with those of the unit.

Source: Bills et al. 2023, "Language models can explain neurons in language models", where a language model predicts.
Differs: over all tokens of the unseen documents, not over chosen windows, so silence counts as it is found.
"""

from __future__ import annotations

import numpy as np

from clew.readings.unseen import Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import bounds, correlation


def simulation(explanation: Explanation, unseen: Unseen, unit: str, *, seed: int = 0) -> tuple[Row, ...]:
    """Pearson's r over the tokens of all unseen documents together; 0 where one thing is predicted of all.

    Args:
        unit: its address, such as resid.7/12.
        seed: draws documents for the interval.
    """
    x, y = unseen.predicted(explanation)[unseen.rows], unseen.values(unit, explanation.side)[unseen.rows]
    if not np.ptp(x) and np.ptp(y):  # what says nothing is no better than a guess
        return (Row("simulation r", 0.0, 0.0, 0.0, of="all", examples=len(x)),)
    drawn = correlation(x, y, unseen.table.text.group[unseen.rows], seed=seed)
    return (Row("simulation r", *bounds(drawn), of="all", examples=len(x)),)
