"""Intruder: among texts in which the unit fires alike, is the one found in which it does not fire?

It takes no explanation: it asks whether the unit fires on anything that a reader can see. Source: the intruder detection of
arXiv:2507.08473. Differs: nothing is marked in the texts, and an answer that cannot be read counts as a guess.
"""

from __future__ import annotations

import numpy as np

from clew.evidence import Message
from clew.explain._said import shown
from clew.readings.asking.answer import Question
from clew.readings.asking.asks import Asks
from clew.readings.asking.reading import choice
from clew.readings.unseen import OF_UNIT, Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import bounds, resampled

TASK = """\
You are given short texts, numbered. All but one of them have something in common: a word, a kind of word, a subject, a way \
of writing. Find the one that does not belong to the others.
Answer with its number and nothing else."""


def intruder(
    explanation: Explanation,
    unseen: Unseen,
    unit: str,
    *,
    asks: Asks,
    windows: int = 20,
    texts: int = 5,
    seed: int = 0,
) -> tuple[Row, ...]:
    """The share of intruders found; 1 / texts by chance.

    Args:
        explanation: only its side is looked at.
        unit: its address, such as resid.7/12.
        asks: who looks for the intruder.
        windows: intruders, at most: silent windows, each shown with others in which the unit fires about as strongly.
        texts: shown together, one of them the intruder.
        seed: draws windows, and documents for the interval.

    Returns: "intruder accuracy" of the unit, and of chance; the share of answers that could not be read. No row of a unit
        that fires in fewer windows than are shown together.
    """
    if texts < 2:
        raise ValueError(f"texts={texts}: give at least 2, one of which is the intruder")
    most, random = unseen.most(unseen.values(unit, explanation.side)), np.random.default_rng(seed)
    fires, silent = np.flatnonzero(most > 0), random.permutation(np.flatnonzero(most == 0))[:windows]
    if len(fires) < texts - 1 or not len(silent):
        return ()
    by_strength = fires[np.argsort(-most[fires], kind="stable")]
    places, asked = random.integers(0, texts, len(silent)), list[Question]()
    for odd, place in zip(silent.tolist(), places.tolist(), strict=True):
        start = int(random.integers(0, len(fires) - texts + 2))
        others = random.permutation(by_strength[start : start + texts - 1]).tolist()
        asked.append(
            _question([shown(unseen.table.text, unseen.tokens(w)) for w in [*others[:place], odd, *others[place:]]])
        )
    said = [choice(answer, texts) for answer in asks.ask(asked)]
    unread = np.array([one is None for one in said], dtype=float)
    asks.unread(int(unread.sum()))
    right = np.array(
        [1 / texts if one is None else one == p + 1 for one, p in zip(said, places, strict=True)], dtype=float
    )
    weights = resampled(unseen.document_of(silent), seed=seed)
    accuracy, missed = (bounds(weights @ of / weights.sum(1)) for of in (right, unread))
    nan = float("nan")
    return (
        Row("intruder accuracy", *accuracy, of=OF_UNIT, examples=len(silent)),
        Row("intruder accuracy", 1 / texts, nan, nan, of="chance"),
        Row("intruder unread", *missed, of="answers", examples=len(silent)),
    )


def _question(shown: list[str]) -> Question:
    said = "\n".join(f"Text {i}: {text}" for i, text in enumerate(shown, 1))
    return Question((Message("system", TASK), Message("user", said)), 12, usual="1")
