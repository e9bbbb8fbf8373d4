"""In processes of this machine; one that dies is replaced, and its item is taken by another."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from clew.scale.work import Task, serve

LOOK = 0.05
"""Seconds between two looks at the workers."""
EARLY = 3
"""As many times as there are workers one may die without anything begun before all is given up."""
GIVE_BACK = 10
"""Seconds that a worker has to give back what it works on."""


def pool(task: Task, workers: int | None, watch: Callable[[], None]) -> None:
    """Args: workers: by default one for each GPU or, where there is none, for each core.

    Raises: ValueError for what cannot be sent to another process; RuntimeError where workers cannot start or go on;
        OSError where the disk is full.
    """
    cards = _cards()
    count = workers or cards or os.cpu_count() or 1
    crew = _Crew(task, [n % cards if cards else None for n in range(count)])
    try:
        while crew.look():
            watch()
            time.sleep(LOOK)
    finally:
        crew.end()


class _Crew:
    """Workers by the place that each has, with what they may tell."""

    def __init__(self, task: Task, cards: list[int | None]) -> None:
        self.task, self.cards = task, cards
        self.workers: dict[int, tuple[SpawnProcess, Connection]] = {}
        self.begun, self.early = task.manifest.begun(), 0

    def look(self) -> bool:
        """Replace those that have died; whether anything is left to be done."""
        for place, (worker, told) in list(self.workers.items()):
            if worker.exitcode is not None:
                del self.workers[place]
                self._check_ended(worker, told)
        counts = self.task.manifest.counts()
        left = counts["waiting"] + counts["taken"]
        for place, card in enumerate(self.cards):
            if place not in self.workers and len(self.workers) < left:
                self.workers[place] = _started(self.task, card)
        return left > 0 or bool(self.workers)

    def _check_ended(self, worker: SpawnProcess, told: Connection) -> None:
        """Raises: what a worker tells that cannot go on; RuntimeError where they die without anything begun."""
        if worker.exitcode == 0:
            return
        with suppress(EOFError):  # it said nothing
            number, why = told.recv()
            said = f"a worker cannot go on:\n{why}"
            raise RuntimeError(said) if number is None else OSError(number, said)
        begun = self.task.manifest.begun()
        self.early, self.begun = (self.early + 1 if begun == self.begun else 0), begun
        if self.early >= EARLY * len(self.cards):
            raise RuntimeError(
                f"{self.early} workers have died (exit code {worker.exitcode}) before they began anything"
            )

    def end(self) -> None:
        """Ask those that still run to give back what they have, and wait for them."""
        for worker, _ in self.workers.values():
            worker.terminate()
        for worker, _ in self.workers.values():
            worker.join(GIVE_BACK)
            if worker.exitcode is None:
                worker.kill()
                worker.join()


def _started(task: Task, card: int | None) -> tuple[SpawnProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    worker = context.Process(target=serve, args=(task, os.getpid(), tell), daemon=True)
    with _seeing(card), _sent():
        worker.start()
    tell.close()
    return worker, told


@contextmanager
def _sent() -> Generator[None]:
    """Raises: ValueError for what cannot be sent to another process."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ValueError(
            f"workers in other processes cannot be sent what they are to do ({error}); give functions that stand in a "
            "module, or functools.partial of them"
        ) from error


@contextmanager
def _seeing(card: int | None) -> Generator[None]:
    """What is started meanwhile sees one GPU alone."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    if card is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = (before or "").split(",")[card] if before else str(card)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _cards() -> int:
    """How many GPUs there are."""
    import torch

    return torch.cuda.device_count()
