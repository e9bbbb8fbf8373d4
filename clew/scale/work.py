"""What every worker does, wherever it runs: take an item, do it, keep the result, until nothing is left."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from clew.scale.manifest import Manifest, Taken
from clew.scale.who import me

FULL = (errno.ENOSPC, errno.EDQUOT)
PAUSE = 0.2
"""Seconds between two looks whether somebody else's item has come free."""


@dataclass(frozen=True)
class Task:
    """What workers do, as it is handed to them.

    Args:
        do: makes a result of an item, and of what `start` has made if that is given.
        start: called once by each worker, as to open a model.
        threads: how many each worker computes with; 0 for as many as it finds.
    """

    do: Callable[..., Any]
    start: Callable[[], Any] | None
    manifest: Manifest
    threads: int = 0


def work(task: Task, between: Callable[[], None] = lambda: None) -> None:
    """Work until no item is left that is not done or set aside; `between` is called after each, and while one waits.

    Raises: OSError where the disk is full, whatever `start` raises; an interrupt gives the item back.
    """
    owner, manifest = me(), task.manifest
    with _threads(task.threads):
        held = () if task.start is None else (task.start(),)
        with _renewing(manifest, owner):
            while True:
                between()
                if (taken := manifest.take(owner)) is not None:
                    _do(task, held, taken, owner)
                elif manifest.counts()["taken"]:
                    time.sleep(PAUSE)
                else:
                    return


def _do(task: Task, held: tuple[Any, ...], taken: Taken, owner: str) -> None:
    started = time.perf_counter()
    try:
        task.manifest.done(taken, owner, task.do(*held, taken.item), time.perf_counter() - started)
    except OSError as error:
        if error.errno not in FULL:
            task.manifest.failed(taken, owner, traceback.format_exc())
            return
        _give_back(task.manifest, taken, owner)
        raise
    except Exception:
        task.manifest.failed(taken, owner, traceback.format_exc())
    except BaseException:
        _give_back(task.manifest, taken, owner)
        raise


def _give_back(manifest: Manifest, taken: Taken, owner: str) -> None:
    """Where even that cannot be written, the lease ends by itself."""
    with suppress(OSError):
        manifest.release(taken, owner)


@contextmanager
def _renewing(manifest: Manifest, owner: str) -> Generator[None]:
    """Renew what one has taken, in a thread of its own, for as long as the block lasts."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(manifest.lease / 4):
            try:
                manifest.renew(owner)
            except (OSError, ValueError):  # tried again before the lease is over
                continue

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _threads(count: int) -> Generator[None]:
    """Compute with so many threads for as long as the block lasts."""
    if not count:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def serve(task: Task, parent: int, tell: Connection) -> None:
    """A worker that is a process of its own: it ends with who has started it, and tells why it cannot go on.

    Args: parent: the process that has started it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def orphaned() -> None:
        if os.getppid() != parent:
            raise KeyboardInterrupt

    try:
        work(task, orphaned)
    except KeyboardInterrupt:
        raise SystemExit(1) from None
    except BaseException as error:
        tell.send((error.errno if isinstance(error, OSError) else None, traceback.format_exc()))
        raise SystemExit(1) from None
