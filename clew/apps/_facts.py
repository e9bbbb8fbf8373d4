"""A record as a list of names and texts, for pages that show many of them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LISTED = 20
"""So many of a list are shown, such as hashes of pairs; the file holds them all."""


def facts(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Provenance as a flat list of (name, text)."""
    if isinstance(value, Mapping):
        return [fact for key, inner in value.items() for fact in facts(inner, f"{name} {key}".strip())]
    if isinstance(value, list | tuple):
        more = [f"and {len(value) - LISTED} more"] * (len(value) > LISTED)
        return [(name, ", ".join([*map(name_of, value[:LISTED]), *more]))] if value else []
    return [] if value is None else [(name, str(value))]


def name_of(value: Any) -> str:
    """What a record, or a word, is called."""
    return str(value.get("name", "")) if isinstance(value, Mapping) else str(value)
