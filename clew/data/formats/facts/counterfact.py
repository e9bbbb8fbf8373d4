"""CounterFact (Meng et al. 2022, arXiv:2202.05262); neighbours share the true answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clew.data.facts.facts import Fact


def matches(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "requested_rewrite" in value[0]


def read(value: Sequence[Mapping[str, Any]], *, name: str, seed: int, template: int) -> tuple[str, list[Fact], str]:
    return name, [_fact(row) for row in value], ""


def _fact(row: Mapping[str, Any]) -> Fact:
    asks = row["requested_rewrite"]
    new, true = asks["target_new"]["str"].strip(), asks["target_true"]["str"].strip()
    neighbours = tuple((prompt, true) for prompt in row.get("neighborhood_prompts", ()))
    return Fact(asks["prompt"], asks["subject"], new, true, tuple(row.get("paraphrase_prompts", ())), neighbours)
