"""One budget of memory: how many tokens, rows or copies run at once."""

from __future__ import annotations

VALUES = 2**29
"""Numbers of one kind that may be held at once: 2 GiB in float32."""

TOKENS = 4096
"""More tokens than this at once make no machine faster."""


def at_once(values: int, *, copies: int = 4, most: int = TOKENS) -> int:
    """How many tokens (or rows, or copies) may run at once, at least one, where each holds `values` numbers.

    Args: copies: how many tensors of that size are in flight. most: never more than this.

    >>> at_once(32_768)
    4096
    >>> at_once(1_000_000)
    134
    """
    return max(1, min(most, VALUES // (copies * values)))
