"""How far a long computation is: who is told, a line that says it with the time left, and what is kept when it is stopped.

Whatever takes long has a keyword `progress`, by default None. It is called in the thread that computes.
"""

from __future__ import annotations

import html
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
    """The share that is done and about how long the rest will take, as a line on stderr or, in a notebook, as a bar.

    On a terminal and in a notebook it is rewritten and in the end taken away; in a file or a pipe there is a line every so
    many seconds. Two computations may share one: where the share falls, the clock starts again.

    >>> report = clew.verify(view, task, circuit, by="controls", progress=clew.Progress("controls"))
    """

    def __init__(self, what: str = "", stream: Stream | None = None, *, every: float = 15.0) -> None:
        """Args: what: said in front. stream: instead of stderr, or of a bar. every: seconds between lines not rewritten."""
        self.what, self._screen = what, (_Bar.here() if stream is None else None) or _Line(stream or sys.stderr)
        self.every = 0.1 if self._screen.rewrites else every
        self._share, self._before = 0.0, 0.0
        self._start = time.monotonic()
        self._said = float("-inf") if self._screen.rewrites else self._start

    def __call__(self, done: int, of: int, numbers: Mapping[str, float] = NOTHING, /) -> None:
        now, share = time.monotonic(), done / max(1, of)
        if share < self._share or not done:
            self._start, self._before = now, share
        self._share = share
        if share >= 1:
            self.close()
        elif (share or self._screen.rewrites) and now - self._said >= self.every:
            self._said = now
            self._screen.say(self._line(now - self._start, numbers), share)

    def close(self) -> None:
        """Take the line away, where it can be."""
        self._screen.clear()

    def _line(self, spent: float, numbers: Mapping[str, float]) -> str:
        said = [f"{self.what}: {self._share:.0%}" if self.what else f"{self._share:.0%}", f"{span(spent)} so far"]
        if (since := self._share - self._before) > 0:
            said.append(f"about {span(spent * (1 - self._share) / since)} left")
        return ", ".join([*said, *(f"{name} {value:.3g}" for name, value in numbers.items())])


class _Line:
    """A line of a terminal, rewritten; a line each time of what is none."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.rewrites, self._written = stream, stream.isatty(), 0

    def say(self, line: str, share: float) -> None:
        self.stream.write(f"\r{line:<{self._written}}" if self.rewrites else f"{line}\n")
        self.stream.flush()
        self._written = len(line)

    def clear(self) -> None:
        if self._written and self.rewrites:
            self.stream.write("\r" + " " * self._written + "\r")
            self.stream.flush()
        self._written = 0


class _Bar:
    """A bar below a notebook's cell, with the line beside it."""

    rewrites = True

    def __init__(self, display: Any) -> None:
        self._display, self._handle = display, None

    @classmethod
    def here(cls) -> _Bar | None:
        """One, if this is a notebook's kernel. IPython is not imported to be asked."""
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        return cls(sys.modules["IPython.display"].display) if getattr(shell, "kernel", None) else None

    def say(self, line: str, share: float) -> None:
        bar = f'<progress value="{share:.3f}" max="1" style="width:16em"></progress> {html.escape(line)}'
        self._show({"text/html": bar, "text/plain": line})

    def clear(self) -> None:
        """What is left in the notebook's file is nothing."""
        if self._handle is not None:
            self._show({"text/html": "", "text/plain": ""})
            self._handle = None

    def _show(self, said: Mapping[str, str]) -> None:
        if self._handle is None:
            self._handle = self._display(said, raw=True, display_id=True)
        else:
            self._handle.update(said, raw=True)


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
