"""An interrupt waits until a step is whole, so that what is saved then is what a later run goes on from."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class Interrupt:
    """`asked` is True from the first Ctrl-C; a second one stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def between(self, steps: Iterable[T]) -> Iterator[T]:
        """The steps; after the one in which an interrupt came, KeyboardInterrupt."""
        before = signal.getsignal(signal.SIGINT)
        # Only the main thread may ask; a process that was started to ignore interrupts goes on ignoring them.
        mine = threading.current_thread() is threading.main_thread() and before is not signal.SIG_IGN
        if mine:
            signal.signal(signal.SIGINT, self._note)
        try:
            for step in steps:
                yield step
                if self.asked:
                    raise KeyboardInterrupt
        finally:
            if mine:
                signal.signal(signal.SIGINT, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
