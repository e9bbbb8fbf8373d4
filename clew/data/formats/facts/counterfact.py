"""CounterFact (Meng et al. 2022, arXiv:2202.05262); neighbours share the true answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clew.data.facts.facts import Fact
from clew.files import entries, entry


def matches(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "requested_rewrite" in value[0]


def read(value: Sequence[Mapping[str, Any]], *, name: str, seed: int, template: int) -> tuple[str, list[Fact], str]:
    return name, [_fact(row, f"{name}: entry {i}") for i, row in enumerate(value)], ""


def _fact(row: Any, origin: str) -> Fact:
    asks = entry(row, "requested_rewrite", dict, origin=origin)
    place = f"{origin}.requested_rewrite"
    new, true = (
        entry(entry(asks, target, dict, origin=place), "str", str, origin=f"{place}.{target}").strip()
        for target in ("target_new", "target_true")
    )
    prompt, subject = (entry(asks, key, str, origin=place) for key in ("prompt", "subject"))
    paraphrases, beside = (
        entries(row, f"{kind}_prompts", str, origin=origin) for kind in ("paraphrase", "neighborhood")
    )
    return Fact(prompt, subject, new, true, tuple(paraphrases), tuple((asked, true) for asked in beside))
