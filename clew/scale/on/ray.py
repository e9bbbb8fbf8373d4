"""In actors of Ray: on the cluster that RAY_ADDRESS names or that this process has joined, else on one started here."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from clew.scale.work import Task, work

LOOK = 0.2
"""Seconds between two looks at the actors."""
DEATHS = 3
"""As many times as there are workers one may die without anything begun before all is given up."""


def ray(task: Task, workers: int | None, watch: Callable[[], None]) -> None:
    """The folder of the work must be one that all machines of the cluster share.

    Args: workers: by default one for each GPU or, where there is none, for each core of the cluster.
    Raises: ImportError without the extra; RuntimeError where actors die; what a worker raises that cannot go on.
    """
    try:
        engine = importlib.import_module("ray")  # this file is of that name, too
    except ImportError as error:
        raise ImportError(f"work on Ray needs the extra ray ({error}); pip install 'clew[ray]'") from error

    mine = not engine.is_initialized()
    if mine:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        engine.init(include_dashboard=False, log_to_driver=False, logging_level="error", configure_logging=False)
    try:
        has = engine.cluster_resources()
        cards = int(has.get("GPU", 0))
        count = workers or cards or int(has.get("CPU", 1))
        _through(engine, engine.remote(num_cpus=1, num_gpus=1 if cards else 0)(_Worker), task, count, watch)
    finally:
        if mine:
            engine.shutdown()


class _Worker:
    """An actor: a process that works until nothing is left."""

    def work(self, task: Task) -> None:
        work(task)


def _through(engine: Any, kind: Any, task: Task, count: int, watch: Callable[[], None]) -> None:
    """Work until nothing is left, with an actor in the place of each that dies."""
    crew: dict[Any, Any] = {}
    begun, deaths = task.manifest.begun(), 0

    def begin() -> None:
        actor = kind.remote()
        crew[actor.work.remote(task)] = actor

    for _ in range(count):
        begin()
    try:
        while crew:
            watch()
            over, _ = engine.wait(list(crew), timeout=LOOK)
            for one in over:
                crew.pop(one)
                try:
                    engine.get(one)
                except engine.exceptions.RayActorError as error:
                    deaths, begun = (deaths + 1 if task.manifest.begun() == begun else 0), task.manifest.begun()
                    if deaths >= DEATHS * count:
                        raise RuntimeError(f"{deaths} actors have died before they began anything: {error}") from error
                    begin()
    finally:
        for actor in crew.values():
            engine.kill(actor)
