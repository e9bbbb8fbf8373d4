"""Antonyms: the opposite of a word."""

from __future__ import annotations

import random
from typing import Any

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.generated import exchanged, generated
from clew.data.words import ANTONYMS

VARIANTS = {"": '"The opposite of hot is" -> " cold"; the patch prompt asks of another word'}


def antonyms(variant: str = "", *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """Of two opposites one is asked for, never both; so fewer than n pairs."""
    rng = random.Random(seed)
    facts = dict(rng.sample(opposites, 2) for opposites in ANTONYMS)
    candidates = exchanged(facts, "The opposite of {} is".format, rng)
    return generated("antonyms", candidates, description=VARIANTS[variant], model=model, n=n, seed=seed, aligned=True)
