"""What workers do in tests: functions of a module, so that they can be sent."""

import errno
import os
import signal
import time
from pathlib import Path


def twice(item):
    return {"twice": 2 * item}


def opened():
    return {"pid": os.getpid()}


def with_held(held, item):
    return [held["pid"] == os.getpid(), item]


def poisoned(item):
    if item == 3:
        raise ArithmeticError("three is poison")
    return item


def deadly(item):
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def broken():
    raise LookupError("there is no such model")


def full(item):
    if item == 3 and not Path(os.environ["ROOM"]).exists():
        raise OSError(errno.ENOSPC, "no space left on the device")
    return item


def slow(item):
    """Leaves a line each time that it has been done to the end."""
    time.sleep(0.01)
    with Path(os.environ["DONE"]).open("a") as file:
        file.write(f"{item}\n")
    return item * item


def sums_held(held, item):
    """Numbers that are floats of a computation, by who was opened in this process."""
    import torch

    assert held["pid"] == os.getpid()
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(item))
    return float((x @ x).relu().sum())
