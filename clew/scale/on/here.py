"""In this process, one item after the other."""

from __future__ import annotations

from collections.abc import Callable

from clew.scale.work import Task, work


def here(task: Task, workers: int | None, watch: Callable[[], None]) -> None:
    """Raises: ValueError for more workers than this one."""
    if workers not in (None, 1):
        raise ValueError(f"there is one worker in this process, not {workers}; take on='pool' for more")
    work(task, watch)
