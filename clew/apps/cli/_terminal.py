"""What commands share: saying a result, and showing that work goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import signature
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress as Spinner
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from clew.progress import NOTHING, Progress, Tell

Json = Annotated[bool, Parameter(negative="", show_default=False, help="Write JSON, and nothing else, to stdout.")]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Several = Parameter(consume_multiple=True, negative="", show_default=False)
quiet = ContextVar("quiet", default=False)
"""Whether nothing but results and errors is said."""
Heard = Callable[[str, int, int], None]
heard: ContextVar[Heard | None] = ContextVar("heard", default=None)
"""Who else is told how far what is: what, done, of."""


def say(text: str, value: Any, json_wanted: bool) -> None:
    """Print the result for people, or `value` for machines."""
    print(json.dumps(value, allow_nan=False) if json_wanted else text, file=sys.stdout)


def aside(text: str) -> None:
    """A remark for people, on stderr."""
    if not quiet.get():
        Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns; the last column is free."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[-1]]) for r in rows)


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner and a clock on stderr while the block runs; a terminal only."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    hidden = quiet.get() or not console.is_terminal
    with Spinner(*columns, console=console, transient=True, disable=hidden) as spinner:
        spinner.add_task(what, total=None)
        yield


@contextmanager
def telling(what: str) -> Iterator[Tell]:
    """What a long computation in the block tells how far it is: a line on stderr with the time left, unless quiet."""
    progress = None if quiet.get() else Progress(what)

    def tell(done: int, of: int, numbers: Mapping[str, float] = NOTHING, /) -> None:
        if progress is not None:
            progress(done, of, numbers)
        if (also := heard.get()) is not None:
            also(what, done, of)

    tell(0, 1)
    try:
        yield tell
    finally:
        if progress is not None:
            progress.close()


@contextmanager
def following(what: str, function: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """Options for a function called in the block: `progress`, if it takes that; while one runs that does not, a spinner."""
    if "progress" not in signature(function).parameters:
        with working(what):
            yield {}
    else:
        with telling(what) as tell:
            yield {"progress": tell}
