"""The IOI table of EAP-IG (Hanna et al. 2024, arXiv:2403.17806): clean, corrupted, corrupted_hard."""

from __future__ import annotations

from typing import Any, Literal

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.files import Rows, skipped, texts


def matches(rows: Rows) -> bool:
    return {"clean", "corrupted", "corrupted_hard"} <= rows[0].keys()


def eap_ioi(
    rows: Rows,
    *,
    name: str,
    model: Any = None,
    seed: int = 0,
    patch: Literal["corrupted", "corrupted_hard"] = "corrupted",
) -> Behaviour:
    """The answer is the indirect object, the patch answer the subject.

    The table's own answers are token ids of one model. We take the names from the text instead: clean and
    corrupted_hard differ in the second mention, which is the subject in one and the indirect object in the other.

    Args: patch: the second mention becomes a third name (as published), or the indirect object.
    """
    pairs = []
    for asked, repeated, other in texts(rows, "clean", "corrupted_hard", patch):
        clean, hard = asked.split(" "), repeated.split(" ")
        differ = [(a, b) for a, b in zip(clean, hard, strict=False) if a != b]
        if len(clean) == len(hard) and len(differ) == 1:
            subject, receiver = differ[0]
            pairs.append(Pair(asked, other, (f" {receiver}",), (f" {subject}",)))
    why = "clean and corrupted_hard do not differ in one word"
    return skipped(Behaviour(name, tuple(pairs), seed=seed), len(rows) - len(pairs), why)
