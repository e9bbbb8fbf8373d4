"""The greater-than table of EAP-IG (Hanna et al. 2024, arXiv:2403.17806): clean, corrupted, label (the first year)."""

from __future__ import annotations

import re
from typing import Any, Literal

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.files import Rows, skipped, texts, words
from clew.data.behaviours.metrics import probability_difference
from clew.data.behaviours.pairs import Encoded, Pair, encode


def matches(rows: Rows) -> bool:
    return {"clean", "corrupted", "label"} <= rows[0].keys()


def eap_greater_than(
    rows: Rows, *, name: str, model: Any = None, seed: int = 0, digits: Literal[1, 2] | None = None
) -> Behaviour:
    """Answers are the years of the century after the first year, measured as in the paper: p(later) - p(not later).

    Args: digits: 2, as published, for vocabularies in which "53" is one token; 1 for those that write years digit by
        digit: the answer is then the tens digit, and the first year's own tens digit, which may be either, is left
        out. None takes 2 unless the tokenizer can only pose 1.
    """
    if digits is None:
        can = any(isinstance(e, Encoded) for e in encode(model, _pairs(rows[:50], 2))) if model is not None else True
        digits = 2 if can else 1
    pairs = _pairs(rows, digits)
    behaviour = Behaviour(name, tuple(pairs), metric=probability_difference, aligned=True, seed=seed)
    return skipped(behaviour, len(rows) - len(pairs), "no year is later, or none is earlier")


def _pairs(rows: Rows, digits: int) -> list[Pair]:
    pairs = []
    for row, (clean, patch) in zip(rows, texts(rows, "clean", "corrupted"), strict=True):
        label = words(row["label"])
        if not re.fullmatch("[0-9]{1,2}", label):
            raise ValueError(f"a label is {label!r:.40}; the two digits of a year are due there")
        year = int(label)
        if digits == 2:
            later, earlier = [f"{y:02d}" for y in range(year + 1, 100)], [f"{y:02d}" for y in range(year + 1)]
        else:
            later, earlier = [str(d) for d in range(year // 10 + 1, 10)], [str(d) for d in range(year // 10)]
        if later and earlier:
            pairs.append(Pair(clean, patch, tuple(later), tuple(earlier), label))
    return pairs
