"""One function of many items: here, in a pool of processes, on Ray, or as a job of a scheduler, and always resumable."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from clew.finder import load
from clew.progress import Tell
from clew.scale.manifest import Aside, Manifest
from clew.scale.work import Task

EVERY = 0.5
"""Seconds between two times that one is told how far it is."""


@runtime_checkable
class On(Protocol):
    """How workers are run: a file of clew/scale/on."""

    def __call__(self, task: Task, workers: int | None, watch: Callable[[], None], /) -> None: ...


@dataclass(frozen=True)
class Mapped:
    """What became of the items."""

    results: tuple[Any, ...]
    """In the order of the items, those that were set aside left out."""
    aside: tuple[Aside, ...] = ()
    """Items that failed as often as they were tried, with the traceback."""
    seconds: float = field(default=0.0, compare=False)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def whole(self, what: str, then: str = "") -> Mapped:
        """Itself. Raises: RuntimeError where items were set aside, with the first traceback and what to do `then`."""
        if self.aside:
            raise RuntimeError(
                f"{len(self.aside)} parts of the {what} failed as often as they were tried, the first with\n"
                f"{self.aside[0].error}{then and chr(10)}{then}"
            )
        return self


def map(
    do: Callable[..., Any],
    items: Iterable[Any],
    *,
    on: str | On = "here",
    workers: int | None = None,
    start: Callable[[], Any] | None = None,
    threads: int = 0,
    folder: str | Path | None = None,
    about: Mapping[str, Any] | None = None,
    tries: int = 3,
    lease: float = 120.0,
    retry: bool = False,
    progress: Tell | None = None,
) -> Mapped:
    """Do something for every item, once, wherever there is room for it.

    Every result is kept as soon as it is there. Killed at any point, the same call with the same folder goes on; several
    calls with one folder, also from several machines, share the work. An item that fails is tried again and in the end set
    aside with its traceback, while the others go on.

    Args:
        do: `do(item)`, or `do(held, item)` where `start` is given; returns plain JSON. For workers in other processes it
            stands in a module.
        items: plain JSON, each of which is known by what it is.
        on: "here"; "pool", processes of this machine; "ray", actors of a cluster (extra ray); "array", a job of Slurm or
            torchrun, each of whose processes calls this.
        workers: how many; by default one for each GPU or core.
        start: what each worker makes once, such as an open model.
        threads: that each worker computes with; 0 for as many as it finds. With equal numbers results are the same wherever
            they are made.
        folder: where items and results are kept; None for as long as the call lasts.
        about: what decides the results beside the items, such as the fingerprint of the weights; a folder that was begun with
            something else is refused.
        tries: how often an item is begun before it is set aside.
        lease: seconds after which an item of a worker that has fallen silent on another machine is given to another.
        retry: whether items that were set aside before are tried once more.
        progress: told how many are done or set aside, and how many a minute.

    Raises: ValueError for items or functions that cannot be sent, a folder of other work; OSError where the disk is full;
        what `start` raises. What is done is kept.

    >>> from clew.scale.map import map
    >>> list(map(len, ["thread", "labyrinth"]))
    [6, 9]
    """
    run: On = load("scale.on", on) if isinstance(on, str) else on
    if folder is None and on == "array":
        raise ValueError("processes that a scheduler has started share a folder; give one")
    place = Path(tempfile.mkdtemp(prefix="clew-")) if folder is None else Path(folder).absolute()
    started, manifest = time.monotonic(), Manifest(place, tries, lease)
    try:
        keys = manifest.begin({"do": _name(do), **(about or {})}, items, retry=retry)
        manifest.mend()
        watch = _Watch(manifest, len(set(keys)), progress)
        run(Task(do, start, manifest, threads), workers, watch)
        watch.tell()
        results = tuple(result for _, result in manifest.results(keys))
        return Mapped(results, tuple(manifest.aside()), time.monotonic() - started)
    finally:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)


class _Watch:
    """Tells how far the work is, now and then."""

    def __init__(self, manifest: Manifest, of: int, progress: Tell | None) -> None:
        self.manifest, self.of, self.progress = manifest, of, progress
        self.first: tuple[float, int] | None = None
        self.last = -EVERY

    def __call__(self) -> None:
        if self.progress is not None and time.monotonic() - self.last >= EVERY:
            self.tell()

    def tell(self) -> None:
        if self.progress is None:
            return
        counts, now = self.manifest.counts(), time.monotonic()
        over = counts["done"] + counts["aside"]
        since, before = self.first = self.first or (now, over)
        rate = 60 * (over - before) / (now - since) if now > since else 0.0
        self.last = now
        self.progress(over, max(self.of, over), {"per minute": rate, "aside": float(counts["aside"])})


def _name(do: Callable[..., Any]) -> str:
    """What is done, by its name: a function's own, or of what a partial is of."""
    inner = getattr(do, "func", do)
    return f"{inner.__module__}.{inner.__qualname__}"
