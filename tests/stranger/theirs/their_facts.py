"""A layout of facts: {"theirs": [[prompt, subject, target], ...]}."""

from typing import Any

from clew.data.facts.facts import Fact


def matches(value: Any) -> bool:
    """By its one key."""
    return isinstance(value, dict) and "theirs" in value


def read(value: dict[str, Any], *, name: str, seed: int, template: int) -> tuple[str, list[Fact], str]:
    """Each entry a fact."""
    return name, [Fact(*entry) for entry in value["theirs"]], ""
