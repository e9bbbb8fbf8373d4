"""Our own JSON of facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew.data.facts.facts import FORMAT, VERSION, Fact


def matches(value: Any) -> bool:
    return isinstance(value, dict) and value.get("format") == FORMAT


def read(value: Mapping[str, Any], *, name: str, seed: int, template: int) -> tuple[str, list[Fact], str]:
    if value["version"] > VERSION:
        raise ValueError(f"the facts are of version {value['version']}, newer than {VERSION}, which this clew reads")
    rows = [dict(row) for row in value["facts"]]
    for row in rows:
        row["paraphrases"], row["neighbours"] = tuple(row["paraphrases"]), tuple((a, b) for a, b in row["neighbours"])
    return value["name"], [Fact(**row) for row in rows], value["note"]
