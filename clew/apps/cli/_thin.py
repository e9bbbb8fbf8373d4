"""Indexes of little text, and that names from them are not to be trusted."""

from __future__ import annotations

from typing import Any

from clew.apps.cli._terminal import aside

FEW, USUAL = 50_000, 100_000


def say_if_thin(index: Any) -> None:
    """A line on stderr where an index holds so few positions that what is said of its units is a guess."""
    if (positions := index.about["positions"]) < FEW:
        aside(f"made from {positions:,} positions: names from so few are guesses; {USUAL:,} or more are usual")
