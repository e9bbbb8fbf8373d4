"""Of many dictionaries those at some layers, as commands and the desk are asked for them.

Dictionaries are typed as Any: their class comes with torch, which `clew --help` must not import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def at_layers(found: Sequence[Any], layers: Sequence[int], of: str, *, asked: str = "--layers") -> list[Any]:
    """The dictionaries at the layers that were asked for, or all. Raises: ValueError for a layer that has none.

    Args: of: where the dictionaries are from, in words. asked: what names the layers.
    """
    there = sorted({d.writes.layer for d in found} - {None})
    if lost := sorted(set(layers) - set(there)):
        where = ", ".join(map(str, there)) or "no layer"
        raise ValueError(f"{asked} {' '.join(map(str, lost))}: there is no dictionary; those of {of} are at {where}")
    return [d for d in found if not layers or d.writes.layer in layers]
