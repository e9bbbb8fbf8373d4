"""clew plan: what a command will take, foretold from small parts of it that are run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from clew.apps.cli._sizes import Size, size_of
from clew.apps.cli._terminal import Flag, Json, aside, say, working
from clew.apps.cli._trial import first_memory, took, trial
from clew.progress import span
from clew.scale.forecast import FLAT, Amount, Forecast, Trial

ENOUGH = 5.0
"""Seconds by which the largest part has to take longer than the smallest, for the machine's noise to be small beside them."""


def plan(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    within: float = 120.0,
    go: Flag = False,
    json: Json = False,
) -> None:
    """Say what a command will take: time, memory and disk.

    `clew plan find MODEL BEHAVIOUR ...` runs that command on a few of its prompts, twice as many, and so on, each in a
    process of its own, and draws the line to all of them. So it knows the machine, the model and the method as they are.
    Nothing of it is kept.

    Parameters
    ----------
    command
        Any of find, verify, bench, index, record, train, explain and atlas, as it is typed after `clew`.
    within
        Seconds that planning may take, about.
    go
        Then run the command, and say what it took beside what was foretold.
    """
    if not command:
        raise ValueError("say what is planned, as in: clew plan find smollm2-135m agreement/simple")
    if within <= 0:
        raise ValueError(f"--within is {within:g}; give the seconds that planning may take")
    from clew.apps.cli import parsed

    size = size_of(command[0], parsed(command)[1])
    trials, forecast = _foretold(command, size, within)
    value: dict[str, Any] = {"command": list(command), "of": size.what, **_as_json(forecast, trials)}
    said = _shown(command, size.what, forecast, trials)
    if not json:
        say(said, value, False)
    for doubt in _doubts(forecast):
        aside(doubt)
    if go:
        done = took(command, size.whole)
        value["took"] = {name: getattr(done, name) for name in ("seconds", "cpu", "memory", "gpu")}
        told = [(name, words) for name, words in AMOUNTS.items() if name not in ("disk", "gpu")]
        said = "it took\n" + "\n".join(
            f"  {NAMES[name]:<12}{_beside(getattr(forecast, name), getattr(done, name), words)}" for name, words in told
        )
    if go or json:
        say(said, value, json)


def _foretold(command: Sequence[str], size: Size, within: float) -> tuple[list[Trial], Forecast]:
    """Parts of twice the size each, until they agree, or the next is most of the whole, or the time is over."""
    began, n, whole, trials = time.monotonic(), size.first, size.whole, list[Trial]()
    while True:
        with working(f"trying {n:,} of {whole:,} {size.what}"):
            trials += trial(command, n, max(5.0, began + within - time.monotonic()))
        forecast, spent = Forecast.of(trials, whole), time.monotonic() - began
        slow = not trials[0].items or 2 * trials[-1].seconds > within - spent
        if 2 * n > 0.75 * whole or slow or (len(trials) > 2 and _is_enough(forecast, trials, spent)):
            break
        n *= 2
    if forecast.memory.value > (1 + FLAT) * trials[-1].memory:
        with working("seeing how much memory the whole begins with"):
            held, steps = first_memory(command, whole, max(10.0, trials[-1].seconds))
        peak = trials[-1].peak
        if (
            peak is not None and steps.get(peak[0], 0) >= peak[1]
        ):  # else these seconds did not come to where most is held
            forecast = Forecast.of(trials, whole, held)
    return trials, forecast


def _is_enough(forecast: Forecast, trials: Sequence[Trial], spent: float) -> bool:
    """Whether the parts agree and the machine's noise is small beside them, or planning has taken as long as the job."""
    told = forecast.settled and trials[-1].seconds - trials[0].seconds > ENOUGH
    return told or spent > forecast.seconds.high


def _shown(command: Sequence[str], what: str, forecast: Forecast, trials: Sequence[Trial]) -> str:
    lines = [f"clew {' '.join(command)}: {forecast.items:,} {what}"]
    for name, words in AMOUNTS.items():
        if name != "gpu" or forecast.gpu.value:
            lines.append(f"  {NAMES[name]:<12}{_amount(getattr(forecast, name), words)}")
    tried = ", ".join(f"{one.items:,} in {span(one.seconds)}" for one in trials if one.items)
    return "\n".join([*lines, f"  from parts of it: {tried}"])


def _amount(amount: Amount, words: Any) -> str:
    low, value, high = (words(x) for x in (amount.low, amount.value, amount.high))
    return value if low == high else f"{value}  ({low} to {high})"


def _beside(amount: Amount, took: int | float, words: Any) -> str:
    return f"{words(took)} ({amount.off(took):+.0%} of {words(amount.value)})"


def room(size: int | float) -> str:
    """Bytes in words.

    >>> room(3.2e9), room(5e6), room(300)
    ('2.98 GiB', '4.8 MiB', '0.3 KiB')
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if size >= unit:
            return f"{size / unit:.{2 if name == 'GiB' else 1}f} {name}"
    return f"{size / 2**10:.1f} KiB"


def _doubts(forecast: Forecast) -> list[str]:
    """What does not fit on this machine."""
    said, free = list[str](), _free_memory()
    if free is not None and forecast.memory.value > free:
        said.append(f"{room(forecast.memory.value)} are more memory than the {room(free)} that are free here")
    disk = shutil.disk_usage(Path.cwd()).free
    if forecast.disk.value > disk:
        said.append(f"{room(forecast.disk.value)} are more than the {room(disk)} that are free on this disk")
    return said


def _free_memory() -> int | None:
    """Bytes that could be had now; None where the system does not say."""
    told = Path("/proc/meminfo")
    lines = told.read_text().splitlines() if told.exists() else ()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _as_json(forecast: Forecast, trials: Sequence[Trial]) -> dict[str, Any]:
    amounts = {name: vars(getattr(forecast, name)) for name in AMOUNTS}
    return {"n": forecast.items, **amounts, "trials": [vars(one) for one in trials]}


AMOUNTS: dict[str, Callable[[float], str]] = {"seconds": span, "cpu": span, "memory": room, "gpu": room, "disk": room}
"""What is foretold, and in which words."""
NAMES = {"seconds": "time", "cpu": "processors", "memory": "memory", "gpu": "GPU memory", "disk": "disk"}
