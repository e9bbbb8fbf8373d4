"""Whoever waits for a tool's answer: told how far a run is, where the call asked for that, and gone once it was cancelled."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from anyio import from_thread

from clew.apps._desk.answers import RunShown


@dataclass(frozen=True)
class Waiting:
    """One call. Args: context: of the SDK, by which it is told; None for a call that came from nobody."""

    context: Any = None
    gone: Event = field(default_factory=Event)
    """Set once the call was cancelled: its answer goes to nobody."""
    told: list[int] = field(default_factory=list[int])
    """How far it was told that the run is, each time further."""

    def hear(self, run: RunShown) -> None:
        """How far a run is, from the thread in which the tool works. Nothing is sent where no progress was asked for."""
        if self.context is None or self.gone.is_set() or (self.told and run.done <= self.told[-1]):
            return
        self.told.append(run.done)
        from_thread.run(self.context.report_progress, run.done, run.total, f"{run.title}: {run.said or run.state}")


NOBODY = Waiting()
WAITING: ContextVar[Waiting] = ContextVar("waiting", default=NOBODY)
"""The call that the work of this thread is for."""
