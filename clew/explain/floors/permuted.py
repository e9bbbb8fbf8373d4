"""Permuted: the unit's firings moved to tokens drawn at random, and explained and scored anew.

What can be said of firings that stand nowhere in particular is what the explainer and the scorers make up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clew.data.predicates.predicate import unit_of
from clew.firings import Fired
from clew.readings.unseen import Case, Explain


def permuted(case: Case, others: Sequence[Case], explain: Explain, *, seed: int = 0) -> Case | None:
    """The unit with the same values at other tokens.

    Args: others: not looked at. seed: draws the tokens.
    Returns: None of what a unit does, which is the same wherever it fires.
    """
    if getattr(case.explanation, "kind", "rule") == "effects":
        return None
    row, random = case.unseen.firings.whole(*unit_of(case.unit)), np.random.default_rng(seed)
    place = random.choice(len(case.unseen.table.text), len(row.place), replace=False)
    moved = case.unseen.moved(case.unit, Fired(place.astype(np.int64), np.asarray(row.value)))
    return Case(explain(moved, case.unit, case.explanation.side), moved, case.unit)
