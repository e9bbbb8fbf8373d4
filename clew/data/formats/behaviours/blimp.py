"""BLiMP (Warstadt et al. 2020, arXiv:1912.00582): sentences that differ in grammaticality alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.files import Rows, skipped, texts
from clew.files import typed

SENTENCES = ("sentence_good", "sentence_bad")
FITS = {"true": True, "false": False}


def matches(rows: Rows) -> bool:
    return set(SENTENCES) <= rows[0].keys()


def blimp(rows: Rows, *, name: str, model: Any = None, seed: int = 0) -> Behaviour:
    """The one-prefix method: after what both sentences share, the good one's next word against the bad one's.

    There is no patch prompt. Rows that the file marks as unfit for the method (`one_prefix_method`), or whose
    sentences share no first word or part at the end of one of them, are left out and counted.
    """
    pairs = []
    for row, (*sentences, uid) in zip(rows, texts(rows, *SENTENCES, "UID"), strict=True):
        good, bad = (sentence.rstrip(".?! ").split(" ") for sentence in sentences)
        shared = next((i for i, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b), 0)
        if shared and _fits(row):
            prompt = " ".join(good[:shared])
            pairs.append(Pair(prompt, None, (f" {good[shared]}",), (f" {bad[shared]}",), uid))
    if not pairs:
        raise ValueError(
            f"no sentence pair of {name} can be asked with one prefix; read it as a table of your own instead"
        )
    why = "the one-prefix method does not apply"
    return skipped(Behaviour(name, tuple(pairs), seed=seed), len(rows) - len(pairs), why)


def _fits(row: Mapping[str, Any]) -> bool:
    """Whether the file marks the row as fit for the method; a table has the words of it."""
    told = row["one_prefix_method"]
    return typed(FITS.get(told.lower(), told) if isinstance(told, str) else told, "one_prefix_method", bool)
