"""Shuffled: the explanation of another unit that fires about as often.

Source: Paulo et al. 2024, arXiv:2410.13928, whose random explanations reach 0.5; of units that fire alike often it is harder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clew.data.predicates.predicate import unit_of
from clew.readings.unseen import Case, Explain

NEAR = 5
"""How many units of about the same number of firings one is drawn from."""


def shuffled(case: Case, others: Sequence[Case], explain: Explain, *, seed: int = 0) -> Case | None:
    """The unit with an explanation that is another's, of the same side.

    Args: others: of the same text; those explained with nothing are left out. seed: draws one.
    Returns: None where there is no other.
    """
    mine = case.explanation
    able = [
        other
        for other in others
        if other.unit != case.unit and other.explanation.side == mine.side and str(other.explanation) != str(mine)
    ]
    if not able:
        return None
    apart = np.array([abs(np.log1p(_count(o)) - np.log1p(_count(case))) for o in able])
    nearest = np.argsort(apart, kind="stable")[:NEAR]
    drawn = able[int(np.random.default_rng(seed).choice(nearest))]
    return Case(drawn.explanation, case.unseen, case.unit)


def _count(case: Case) -> int:
    """Firings on the side that is explained."""
    row = case.unseen.firings.row(*unit_of(case.unit))
    return int(np.count_nonzero(case.explanation.side * row.value > 0))
