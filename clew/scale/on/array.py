"""As one of many processes that a scheduler has started: a Slurm array or job, or torchrun, on one or several machines.

Each of them calls `map` with the same items and the same folder; who is first done with one takes the next.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from clew.scale.work import Task, work

RANKS = ("SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "RANK")
LOCAL = ("SLURM_LOCALID", "LOCAL_RANK")
"""What schedulers call the number of a process, and its number on its machine."""


def array(task: Task, workers: int | None, watch: Callable[[], None]) -> None:
    """Raises: ValueError where no scheduler has started this process, or a number of workers is given."""
    if workers is not None:
        raise ValueError("how many processes there are is the scheduler's to say; leave workers out")
    if number(RANKS) is None:
        raise ValueError(f"no scheduler has started this process: none of {', '.join(RANKS)} is set; take on='pool'")
    _take_gpu()
    work(task, watch)


def number(names: tuple[str, ...]) -> int | None:
    """The number that one of these variables of the environment holds."""
    found = (os.environ.get(name, "") for name in names)
    return next((int(text) for text in found if text.isdigit()), None)


def _take_gpu() -> None:
    """The GPU of one's number on the machine, where there are several and the scheduler has given out none."""
    import torch

    if (local := number(LOCAL)) is not None and torch.cuda.device_count() > 1:
        torch.cuda.set_device(local % torch.cuda.device_count())
