"""Tense: the past of a verb, regular or not."""

from __future__ import annotations

import random
from typing import Any

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.generated import exchanged, generated
from clew.data.words import VERBS

VARIANTS = {"": '"Today they write. Yesterday they" -> " wrote"; the patch prompt has another verb'}


def tense(variant: str = "", *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """One pair per verb, so fewer than n."""
    candidates = exchanged(dict(VERBS), "Today they {}. Yesterday they".format, random.Random(seed))
    return generated("tense", candidates, description=VARIANTS[variant], model=model, n=n, seed=seed, aligned=True)
