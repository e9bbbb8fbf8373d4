"""Where work is done: options that always go to `map` together."""

from __future__ import annotations

from dataclasses import dataclass

from clew.values import Value


@dataclass(frozen=True)
class Workers(Value):
    """Where work is done.

    >>> Workers("pool", 2).plain()
    {'on': 'pool', 'workers': 2, 'threads': 0, 'retry': False}
    """

    on: str = "here"
    """here, pool, ray or array: in this process, in some of this machine, on a cluster, or as a job of Slurm or torchrun."""
    workers: int | None = None
    """How many; by default one for each GPU or core."""
    threads: int = 0
    """That each worker computes with; 0 for as many as it finds."""
    retry: bool = False
    """Try again what was set aside."""
