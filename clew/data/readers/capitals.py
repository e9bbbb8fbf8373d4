"""Capitals: a fact that a model either knows or does not."""

from __future__ import annotations

import random
from typing import Any

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.generated import exchanged, generated
from clew.data.words import COUNTRIES

VARIANTS = {"": '"The capital of France is the city of" -> " Paris"; the patch prompt asks of another country'}


def capitals(variant: str = "", *, model: Any = None, n: int = 200, seed: int = 0) -> Behaviour:
    """One pair per country, so fewer than n; a tokenizer leaves those whose capital is one token."""
    facts = {country: capital for country, capital, _, _ in COUNTRIES}
    candidates = exchanged(facts, "The capital of {} is the city of".format, random.Random(seed))
    return generated("capitals", candidates, description=VARIANTS[variant], model=model, n=n, seed=seed)
