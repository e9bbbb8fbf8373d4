"""Surprisal: does the explanation make the texts in which the unit fires likelier than it makes others?

A language model that tells log p of a given text is asked for log p(text | explanation) - log p(text | a sentence that says
nothing). Source: Paulo et al. 2024, arXiv:2410.13928. Differs: the windows are those of `detection`. Beyond one language
model nothing is asked, so there is no answer that could not be read.
"""

from __future__ import annotations

import numpy as np

from clew.explain._said import shown
from clew.explain.scorers._chosen import chosen
from clew.readings.asking.answer import Continuation
from clew.readings.asking.asks import Asks
from clew.readings.unseen import Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import auroc, bounds, resampled

FRAME = "All texts in this collection have something in common: {}\n\nText:"
NEUTRAL = "they are texts of many kinds"


def surprisal(
    explanation: Explanation, unseen: Unseen, unit: str, *, asks: Asks, windows: int = 100, seed: int = 0
) -> tuple[Row, ...]:
    """AUROC by how much likelier a text is after the explanation, in words or a rule in its words.

    Args:
        unit: its address, such as resid.7/12.
        asks: who judges; a model in this process, or an endpoint that repeats a prompt with log p.
        windows: in which the unit fires, at most; as many in which it does not.
        seed: draws the silent windows, and documents for the interval.

    Raises: Refused by an endpoint that does not tell log p of a text that it is given.
    """
    some = chosen(unseen, unit, unseen.values(unit, explanation.side), windows, seed)
    every = some.every
    texts = [f" {shown(unseen.table.text, unseen.tokens(w))}" for w in every.tolist()]
    told, untold = (_log_p(asks, words, texts) for words in (str(explanation), NEUTRAL))
    score = told - untold if explanation else np.zeros(len(texts))
    weights = resampled(unseen.document_of(every), seed=seed)
    drawn = auroc(score, np.arange(len(every)) < len(some.fires), weights)
    return (Row("surprisal AUROC", *bounds(drawn), of="all", examples=len(every)),)


def _log_p(asks: Asks, words: str, texts: list[str]) -> np.ndarray:
    prompt = FRAME.format(words)
    return np.array(
        [answer.log_p for answer in asks.judge([Continuation(prompt, text) for text in texts])], dtype=float
    )
