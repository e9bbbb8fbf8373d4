"""BLiMP (Warstadt et al. 2020, arXiv:1912.00582): sentences that differ in grammaticality alone."""

from __future__ import annotations

from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.files import Rows, skipped


def matches(rows: Rows) -> bool:
    return {"sentence_good", "sentence_bad"} <= rows[0].keys()


def blimp(rows: Rows, *, name: str, model: Any = None, seed: int = 0) -> Behaviour:
    """The one-prefix method: after what both sentences share, the good one's next word against the bad one's.

    There is no patch prompt. Rows that the file marks as unfit for the method (`one_prefix_method`), or whose
    sentences share no first word or part at the end of one of them, are left out and counted.
    """
    pairs = []
    for row in rows:
        good, bad = (row[column].rstrip(".?! ").split(" ") for column in ("sentence_good", "sentence_bad"))
        shared = next((i for i, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b), 0)
        if shared and row.get("one_prefix_method", True):
            prompt, uid = " ".join(good[:shared]), str(row.get("UID", ""))
            pairs.append(Pair(prompt, None, (f" {good[shared]}",), (f" {bad[shared]}",), uid))
    if not pairs:
        raise ValueError(
            f"no sentence pair of {name} can be asked with one prefix; read it as a table of your own instead"
        )
    why = "the one-prefix method does not apply"
    return skipped(Behaviour(name, tuple(pairs), seed=seed), len(rows) - len(pairs), why)
