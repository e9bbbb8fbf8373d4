"""What commands share: saying a result, showing that work goes on, opening what the user named.

Models and behaviours are typed as Any here: their classes come with torch, which `clew --help` must not import.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
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


def open_lens(
    model: str,
    *,
    through: Sequence[Path] = (),
    neurons: Sequence[str] = (),
    heads: bool = False,
    components: bool = False,
    dtype: str | None = None,
    device: str | None = None,
) -> Any:
    """The model that the user named, in the basis that the user asked for."""
    if (bool(through) + bool(neurons) + heads + components) > 1:
        raise ValueError("--through, --neurons, --heads and --components are ways to see a model; give one of them")
    import torch
    import transformers

    import clew

    if device == "cuda" and "LOCAL_RANK" in os.environ:  # each of torchrun's processes has a GPU of its own
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    types = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
    if dtype is not None and dtype not in types:
        raise ValueError(f"{dtype!r} is not a dtype that clew runs in; use one of {', '.join(types)}")
    transformers.utils.logging.disable_progress_bar()
    with working(f"opening {model}"):
        opened = clew.open(model, dtype=types[dtype] if dtype else None, device=device)
        if through:
            return opened.through(*(d for path in through for d in clew.Dictionary.load(path)))
        if neurons:
            return opened.neurons(*neurons)
        if components:
            return opened.components()
        return opened.heads() if heads else opened


def open_behaviour(name: str, lens: Any, examples: int | None, metric: str | None, all_pairs: bool) -> Any:
    """The behaviour that the user named, as far as this model's tokenizer can pose it; says what fell out."""
    import clew

    task = clew.Behaviour.load(name, model=lens, **({"n": examples} if examples else {}))
    task = task if metric is None else task.with_metric(metric)
    if not all_pairs:
        with working("keeping the pairs that the model gets right"):
            task = task.filter(lens)
    if task.note:
        aside(task.note)
    return task
