"""What commands share: saying a result, and showing that work goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Json = Annotated[bool, Parameter(negative="", show_default=False, help="Write JSON, and nothing else, to stdout.")]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Several = Parameter(consume_multiple=True, negative="", show_default=False)


def say(text: str, value: Any, json_wanted: bool) -> None:
    """Print the result for people, or `value` for machines."""
    print(json.dumps(value, allow_nan=False) if json_wanted else text, file=sys.stdout)


def aside(text: str) -> None:
    """A remark for people, on stderr."""
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
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, in a terminal only; yields what moves it."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    columns = (*columns, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)
