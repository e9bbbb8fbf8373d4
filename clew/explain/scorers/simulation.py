"""Simulation: how well the strengths that are predicted for every token agree with those of the unit.

Source: Bills et al. 2023, "Language models can explain neurons in language models", where a language model predicts; so it
does here for an explanation in words, in one list of numbers for a window. Differs: a rule is executed on all tokens of the
unseen documents, not on chosen windows, so silence counts as it is found.
"""

from __future__ import annotations

import numpy as np

from clew.explain.scorers._chosen import chosen
from clew.readings.said import InWords, Said
from clew.readings.unseen import ALL, WINDOWS, Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import bounds, correlation, resampled


def simulation(
    explanation: Explanation, unseen: Unseen, unit: str, *, windows: int = 100, seed: int = 0
) -> tuple[Row, ...]:
    """Pearson's r over the tokens of all unseen documents together, or of the windows asked about; 0 where all is alike.

    Args:
        unit: its address, such as resid.7/12.
        windows: of an explanation in words, in how many windows in which the unit fires it is asked about, at most, and in
            as many in which it does not.
        seed: draws documents for the interval, and windows.

    Returns: "simulation r", of all or of windows, which are not to be compared: in half of these the unit fires. Where
        somebody was asked, the share of answers that could not be read, in whose place stands
        the mean of the others.
    """
    values = unseen.values(unit, explanation.side)
    if not isinstance(explanation, InWords):
        return (_row(unseen, unseen.predicted(explanation)[unseen.rows], values, unseen.rows, ALL, seed),)
    some = chosen(unseen, unit, values, windows, seed)
    every = some.every
    tokens = [unseen.tokens(window) for window in every.tolist()]
    text = unseen.table.text
    predicted, read = explanation.strengths([[text.pieces[k] for k in text.kinds[inside]] for inside in tokens])
    rows = np.concatenate([np.empty(0, np.int64), *tokens])
    asked = Said(np.zeros(len(every)), np.zeros(len(every)), read)
    weights = resampled(unseen.document_of(every), seed=seed)
    r = _row(unseen, np.concatenate([np.empty(0), *predicted]), values, rows, WINDOWS, seed)
    return (r, *asked.unread("simulation unread", weights))


def _row(unseen: Unseen, x: np.ndarray, values: np.ndarray, rows: np.ndarray, of: str, seed: int) -> Row:
    """Of what is predicted at some tokens and what is there."""
    y = values[rows]
    if len(x) and not np.ptp(x) and np.ptp(y):  # what says nothing is no better than a guess
        return Row("simulation r", 0.0, 0.0, 0.0, of=of, examples=len(x))
    drawn = correlation(x, y, unseen.table.text.group[rows], seed=seed)
    return Row("simulation r", *bounds(drawn), of=of, examples=len(x))
