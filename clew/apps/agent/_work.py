"""Runs: started, waited for a little, and told with what came of them."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from clew.apps._desk.answers import RunShown
from clew.apps._desk.asked import RunAsked, Verb, ViewAsked
from clew.apps._desk.desk import Desk
from clew.apps._desk.runs import OVER
from clew.apps.agent._answers import Grounds, Worked
from clew.apps.agent._shown import NO_SPLIT, show
from clew.apps.agent._waiting import WAITING

LONGEST = 60.0
"""Seconds that an answer is waited for."""


def begin(
    desk: Desk, verb: Verb, view: ViewAsked | None, args: dict[str, Any], name: str | None, wait: float
) -> Worked:
    """Start work and wait a little for it. Raises: ValueError for what cannot be done, before anything runs."""
    seen = {} if view is None else asdict(view)
    given = {key: value for key, value in {**seen, **args}.items() if value not in (None, [], (), {}, False, "")}
    run = desk.runs.start(RunAsked(verb, given, name))
    return told(desk, waited(desk, run.id, wait))


def waited(desk: Desk, id: str, seconds: float) -> RunShown:
    """A run, once it is over, the time is, or whoever called has cancelled the call, which does not end the run.

    Raises: NotHere; ValueError for a time that is too long to wait.
    """
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"wait is {seconds}; give how many seconds to wait for the result, from 0 to {LONGEST:g}")
    until, call = time.monotonic() + seconds, WAITING.get()
    while True:
        version, run = desk.runs.version, desk.runs.get(id)
        left = until - time.monotonic()
        if run.state in OVER or left <= 0 or desk.runs.closed or call.gone.is_set():
            return run
        call.hear(run)
        desk.runs.wait(version, min(left, 1.0))


def told(desk: Desk, run: RunShown) -> Worked:
    """A run and, where it has made something, that."""
    over = run.state in OVER
    result = (
        show(desk, run.result, command=run.command) if over and run.result and _is_shown(desk, run.result) else None
    )
    made = [f"{run.result} was made; items and unit tell of it"] if over and run.result and not result else []
    again = f"run {run.id}: it is {run.state}; ask with a longer wait, or cancel {run.id}"
    grounds = result.grounds if result else Grounds("", "nothing was measured yet", NO_SPLIT, run.command)
    return Worked(
        grounds=grounds,
        numbers=result.numbers if result else [],
        notes=[*([run.error] if run.error else []), *(result.notes if result else [])],
        next=result.next if result else made if over else [again],
        run=run,
        done=over,
        result=result,
    )


def _is_shown(desk: Desk, path: str) -> bool:
    return any(
        item.path == path and item.kind in ("circuit", "report", "edits", "labels", "replication")
        for item in desk.items.every()
    )
