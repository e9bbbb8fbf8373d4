"""How far a long computation is: who is told, a line that says it with the time left, and what is kept when it is stopped.

Whatever takes long has a keyword `progress`, by default None. It is called in the thread that computes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
NOTHING: Mapping[str, float] = {}


@runtime_checkable
class Tell(Protocol):
    """What is told how far something is; any function of (done, of, numbers) is one.

    Args: done, of: in steps of the work, from 0 on; together they may be rescaled, but done / of only grows. numbers: of
        this step, such as a loss, where something is learned; else none are given.
    """

    def __call__(self, done: int, of: int, numbers: Mapping[str, float] = NOTHING, /) -> None: ...


@runtime_checkable
class Stream(Protocol):
    """Where a line can be written, as sys.stderr is."""

    def write(self, text: str, /) -> Any: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


class Progress:
    """A line on stderr with the share that is done and about how long the rest will take.

    On a terminal and in a notebook one line, rewritten and in the end taken away; in a file or a pipe a line every so
    many seconds. Two computations may share one: where the share falls, the clock starts again.

    >>> report = clew.verify(view, task, circuit, by="controls", progress=clew.Progress("controls"))
    """

    def __init__(self, what: str = "", stream: Stream | None = None, *, every: float = 15.0) -> None:
        """Args: what: said in front. stream: instead of stderr. every: seconds between two lines that are not rewritten."""
        self.what, self.stream = what, sys.stderr if stream is None else stream
        self.rewrites = self.stream.isatty() or "ipykernel" in sys.modules
        self.every = 0.1 if self.rewrites else every
        self._share, self._before, self._written = 0.0, 0.0, 0
        self._start = time.monotonic()
        self._said = float("-inf") if self.rewrites else self._start

    def __call__(self, done: int, of: int, numbers: Mapping[str, float] = NOTHING, /) -> None:
        now, share = time.monotonic(), done / max(1, of)
        if share < self._share or not done:
            self._start, self._before = now, share
        self._share = share
        if share >= 1:
            self.close()
        elif (share or self.rewrites) and now - self._said >= self.every:
            self._said = now
            self._write(self._line(now - self._start, numbers))

    def close(self) -> None:
        """Take the line away, where it can be."""
        if self._written and self.rewrites:
            self.stream.write("\r" + " " * self._written + "\r")
            self.stream.flush()
        self._written = 0

    def _line(self, spent: float, numbers: Mapping[str, float]) -> str:
        said = [f"{self.what}: {self._share:.0%}" if self.what else f"{self._share:.0%}", f"{span(spent)} so far"]
        if (since := self._share - self._before) > 0:
            said.append(f"about {span(spent * (1 - self._share) / since)} left")
        return ", ".join([*said, *(f"{name} {value:.3g}" for name, value in numbers.items())])

    def _write(self, line: str) -> None:
        self.stream.write(f"\r{line:<{self._written}}" if self.rewrites else f"{line}\n")
        self.stream.flush()
        self._written = len(line)


def span(seconds: float) -> str:
    """A time in words.

    >>> span(8.2), span(95.0), span(5400.0)
    ('8 s', '1 min 35 s', '1 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Loops:
    """Loops within loops that tell as one: after every step of the innermost, how much of all is done.

    The steps of one loop count alike.
    """

    def __init__(self, progress: Tell | None) -> None:
        self._progress = progress
        self._at: list[tuple[int, int]] = []

    def over(self, items: Collection[T]) -> Iterator[T]:
        """The items, telling before the first and after each."""
        self._tell(0, len(items))
        for done, item in enumerate(items):
            with self.part(done, len(items)):
                yield item

    @contextmanager
    def part(self, number: int, of: int) -> Iterator[None]:
        """What is done inside is one of `of` parts; told of when it is over."""
        self._at.append((number, of))
        try:
            yield
        finally:
            self._at.pop()
        self._tell(number + 1, of)

    def _tell(self, done: int, of: int) -> None:
        if self._progress is None or not of:
            return
        for outer, n in reversed(self._at):
            done, of = outer * of + done, n * of
        self._progress(done, of)


class Stopped(KeyboardInterrupt):
    """An interrupted computation. Nothing is lost: `result` is what there was by then, a Circuit or a Report."""

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result


def until_stopped(items: Iterable[T]) -> tuple[list[T], KeyboardInterrupt | None]:
    """All items; where an interrupt comes, those that were there by then, and the interrupt."""
    found: list[T] = []
    try:
        for item in items:
            found.append(item)
    except KeyboardInterrupt as stop:
        return found, stop
    return found, None
