"""Long work, one after the other in a thread of its own: how far it is, what stops it, what is kept of it.

A run is a file in FOLDER/.clew/runs, so that another studio on the folder lists it, and takes up again what can be. It is
stopped between two of its steps, by whoever cancels it or by its budgets of time and memory; a method that learns then
gives what it has by then.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Condition, Thread
from typing import Any, get_args

from clew.apps._desk.answers import Limits, RunShown, State
from clew.apps._desk.asked import RunAsked, Verb
from clew.apps._desk.folder import Folder
from clew.apps._desk.refusals import NotHere, TooBusy
from clew.files import entry, entry_or, read_json, write_json
from clew.progress import NOTHING, Stopped
from clew.scale.who import lives, me

FORMAT, VERSION = "clew run", 1
PLACE = (".clew", "runs")
STEPS = 1000
"""Parts that a run is told in."""
KEPT = 200
"""Runs whose records are kept."""
WAITING = "waiting for its turn"
EVERY = 0.25
"""Seconds between two tellings."""
PREPARED, PACE, AT_LEAST = 100, 50, 5.0
"""The first steps prepare the work, and tell nothing of its pace: from so many on it is measured, over as many more and as
many seconds at least."""
OVER = ("done", "failed", "cancelled", "stopped")
KINDS: dict[str, type] = {
    **dict.fromkeys(("id", "verb", "title", "said", "command"), str),
    **{"done": int, "total": int, "seconds": float, "started": float, "resumes": bool},
}
MAYBE: dict[str, type] = {"left": float, "result": str, "error": str}
"""What a record holds of a run, and what of it may be null."""


class Halted(KeyboardInterrupt):
    """A run that was told to end: as an interrupt, so that what learns gives what it has."""


@dataclass(frozen=True)
class Plan:
    """What a run does."""

    title: str
    command: str
    """The command line that does the same."""
    resumes: bool
    """Whether it goes on where it stopped, if it is started again."""
    work: Callable[[Teller], str | None]
    """Gives the path of what it made; where it was stopped and has something by then, raises `Stopped` with that path."""
    gates: Callable[[], Any]
    """The gate of the model that it runs, once that is open; None before."""


class Teller:
    """What the work of a run tells how far it is. It raises Halted there where the run is to end."""

    def __init__(self, tell: Callable[[int, str], None]) -> None:
        self._tell, self._part, self._said = tell, (0.0, 1.0), ""

    def part(self, said: str, start: float, end: float) -> Teller:
        """The next part of the work, which is told as from `start` to `end` of the whole."""
        self._part, self._said = (start, end), said
        self(0, 1)
        return self

    def __call__(self, done: int, of: int, numbers: Mapping[str, float] = NOTHING, /) -> None:
        start, end = self._part
        self._tell(int(STEPS * (start + (end - start) * min(1.0, done / max(1, of)))), self._said)


@dataclass
class Run:
    """A run and its state."""

    id: str
    asked: RunAsked
    plan: Plan | None
    shown: RunShown
    halt: str = ""
    """Why it is to end: the state that it gets, and a sentence."""
    since: float = field(default_factory=time.monotonic)
    paced: tuple[int, float] | None = None
    """The step and the second from which on its pace is measured."""

    def left(self, done: int, seconds: float) -> float | None:
        """Seconds that are left at the pace so far; None as long as there is none to go by."""
        if self.paced is None and done >= PREPARED:
            self.paced = (done, seconds)
        first, begun = self.paced or (done, seconds)
        if done - first < PACE or seconds - begun < AT_LEAST:
            return None
        return round((seconds - begun) * (STEPS - done) / (done - first), 1)


class Runs:
    """The runs of a folder.

    Args: plan: makes a plan of what is asked, and of whether it was planned before; ValueError where it cannot be done.
    """

    def __init__(self, folder: Folder, plan: Callable[[RunAsked, bool], tuple[RunAsked, Plan]], limits: Limits) -> None:
        self.folder, self._plan, self.limits = folder, plan, limits
        self._change, self._line, self._thread = Condition(), deque[Run](), None
        self.closed = False
        self.version = 0
        """Grows with every change."""
        self._runs = {run.id: run for run in self._kept()}

    # What is asked.

    def start(self, asked: RunAsked) -> RunShown:
        """Put work in the line. Raises: ValueError for what cannot be done; TooBusy where many runs wait."""
        asked, plan = self._plan(asked, False)
        id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        shown = RunShown(
            id=id,
            verb=asked.verb,
            title=plan.title,
            state="waiting",
            done=0,
            total=STEPS,
            said=WAITING,
            seconds=0.0,
            left=None,
            result=None,
            error=None,
            command=plan.command,
            resumes=False,
            started=time.time(),
        )
        return self._queued(Run(id, asked, plan, shown))

    def resume(self, id: str) -> RunShown:
        """Take up a run that is over: one that keeps its parts goes on with them, any other begins anew."""
        run = self._one(id)
        if run.shown.state not in OVER or run.shown.state == "done":
            raise ValueError(f"the run {id} is {run.shown.state}; one that was stopped or failed is taken up again")
        asked, plan = self._plan(run.asked, True)
        shown = replace(run.shown, state="waiting", said=WAITING, error=None, resumes=False, started=time.time())
        return self._queued(Run(id, asked, plan, replace(shown, command=plan.command)))

    def every(self) -> list[RunShown]:
        """All, the latest first."""
        with self._change:
            return sorted(map(_by_now, self._runs.values()), key=lambda run: (-run.started, run.id))

    def get(self, id: str) -> RunShown:
        """One. Raises: NotHere."""
        return _by_now(self._one(id))

    def cancel(self, id: str) -> RunShown:
        """End a run at its next step; one that is over is taken off the list."""
        run = self._one(id)
        with self._change:
            if run.shown.state == "waiting":
                self._line.remove(run)
                self._set(run, state="cancelled", said="", resumes=True)
            elif run.shown.state == "running":
                run.halt = "cancelled"
                self._set(run, said="is being stopped, at its next step")
            else:
                self._drop(id)
                self._told()
        return run.shown

    def wait(self, version: int, seconds: float) -> int:
        """The version, once it is another than this one, or the time is over."""
        with self._change:
            self._change.wait_for(lambda: self.version != version, timeout=seconds)
            return self.version

    def close(self, seconds: float = 1.0) -> None:
        """End what runs and start nothing more."""
        with self._change:
            self.closed = True
            for run in self._runs.values():
                if run.shown.state == "running":
                    run.halt = "stopped"
            self._change.notify_all()
            self._change.wait_for(
                lambda: all(run.shown.state != "running" for run in self._runs.values()), timeout=seconds
            )

    # How it goes.

    def _one(self, id: str) -> Run:
        with self._change:
            if id not in self._runs:
                raise NotHere(f"there is no run {id!r:.40}; GET /api/runs lists them")
            return self._runs[id]

    def _queued(self, run: Run) -> RunShown:
        with self._change:
            if len(self._line) >= self.limits.runs:
                wait = "1 run waits" if self.limits.runs == 1 else f"{self.limits.runs} runs wait"
                raise TooBusy(f"{wait} already; cancel one, or wait until one is done")
            self._runs[run.id] = run
            self._line.append(run)
            self._forget()
            self._set(run)
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._work, name="runs", daemon=True)
                self._thread.start()
        return run.shown

    def _forget(self) -> None:
        """The oldest that are over, where there are many."""
        over = sorted(run.id for run in self._runs.values() if run.shown.state in OVER)
        for id in over[: max(0, len(self._runs) - KEPT)]:
            self._drop(id)

    def _drop(self, id: str) -> None:
        del self._runs[id]
        with suppress(OSError):
            self._path(id).unlink(missing_ok=True)

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._line or self.closed)
                if self.closed:
                    return
                run = self._line.popleft()
                run.since = time.monotonic()
                self._set(run, state="running", said="begins", seconds=0.0)
            self._set(run, **self._outcome(run))

    def _outcome(self, run: Run) -> dict[str, Any]:
        """What a run ends with."""
        assert run.plan is not None
        try:
            result = run.plan.work(Teller(lambda done, said: self._step(run, done, said)))
            return {"state": "done", "done": STEPS, "said": "", "left": 0.0, "result": result}
        except Stopped as stopped:
            return self._halted(run, stopped.result)
        except KeyboardInterrupt:
            return self._halted(run, None)
        except MemoryError:
            return _failed("there is not enough memory for this; ask for less at once")
        except (ValueError, OSError, ImportError) as error:
            return _failed(self.folder.told(str(error)))
        except Exception as error:  # whatever it is, the run is over and says why
            return _failed(f"{type(error).__name__}: {error}")

    def _halted(self, run: Run, result: str | None) -> dict[str, Any]:
        state, _, why = run.halt.partition(": ")
        kept = "; what it had by then is kept" if result else ""
        said = why or ("it was cancelled" if state == "cancelled" else "the studio was closed")
        return {**_failed(f"{said}{kept}"), "state": state or "stopped", "result": result}

    def _step(self, run: Run, done: int, said: str) -> None:
        """Between two steps of the work: halt it, let others go first, and tell."""
        gate = run.plan.gates() if run.plan else None
        if gate is not None and not run.halt:
            gate.give_way()
        seconds = time.monotonic() - run.since
        if not run.halt and seconds > 60 * self.limits.minutes:
            run.halt = f"stopped: it took longer than {self.limits.minutes:g} minutes, which is its budget of time"
        if not run.halt and (held := memory()) > self.limits.gigabytes * 1e9 > 0:
            run.halt = (
                f"stopped: {held / 1e9:.1f} GB are held, and the budget of memory is {self.limits.gigabytes:.1f} GB"
            )
        if run.halt:
            raise Halted(run.halt)
        if seconds - run.shown.seconds >= EVERY or said != run.shown.said:
            self._set(run, done=done, said=said, seconds=round(seconds, 2), left=run.left(done, seconds))

    # What is kept.

    def _set(self, run: Run, **changes: Any) -> None:
        with self._change:
            if changes.get("state") in OVER and run.shown.state == "running":
                changes["seconds"] = round(time.monotonic() - run.since, 2)
            run.shown = replace(run.shown, **changes)
            self._told()
            asked = {"verb": run.asked.verb, "args": run.asked.args, "name": run.asked.name}
            record = {"format": FORMAT, "version": VERSION, "by": me(), "asked": asked, "shown": asdict(run.shown)}
            with suppress(
                OSError
            ):  # a folder that cannot be written has runs all the same, as long as the studio is open
                write_json(self._path(run.id), record)

    def _told(self) -> None:
        self.version += 1
        self._change.notify_all()

    def _path(self, id: str) -> Path:
        """Where a run is kept. Raises: OSError where that cannot be made, or leads out of the folder."""
        place = self.folder.root.joinpath(*PLACE)
        if not place.resolve().is_relative_to(self.folder.root):
            raise OSError(f"{'/'.join(PLACE)} is a link that leads out of the folder")
        place.mkdir(parents=True, exist_ok=True)
        return place / f"{id}.json"

    def _kept(self) -> list[Run]:
        """Those of studios before this one; what they had begun was stopped with them."""
        found = list[Run]()
        for path in sorted(self.folder.root.joinpath(*PLACE).glob("*.json"))[-KEPT:]:
            with suppress(ValueError, OSError):  # a damaged record is none
                if path.resolve().is_relative_to(self.folder.root):
                    found.append(_read(path))
        return found


def _by_now(run: Run) -> RunShown:
    """How a run stands now: its clock goes on between two steps."""
    shown = run.shown
    if shown.state != "running":
        return shown
    seconds = round(time.monotonic() - run.since, 1)
    left = None if shown.left is None else round(max(0.0, shown.left - (seconds - shown.seconds)), 1)
    return replace(shown, seconds=seconds, left=left)


def _read(path: Path) -> Run:
    """A run of another time. Raises: ValueError for what is no record of one."""
    value, origin = read_json(path, FORMAT), str(path)
    entry(value, "version", int, origin=origin, at_least=VERSION, at_most=VERSION)
    held = entry(value, "asked", dict, origin=origin)
    verb = entry(held, "verb", str, origin=origin, among=get_args(Verb))
    args, name = entry(held, "args", dict, origin=origin), entry_or(held, "name", str, None, origin=origin)
    asked, shown = RunAsked(verb, args, name), _shown(entry(value, "shown", dict, origin=origin), origin)
    if shown.id != path.stem:
        raise ValueError(f"{path} holds another run, {shown.id}")
    if shown.state not in OVER and not _runs_elsewhere(entry(value, "by", str, origin=origin)):
        shown = replace(shown, state="stopped", said="", left=None, error="the studio ended while it ran", resumes=True)
    return Run(shown.id, asked, None, shown)


def _shown(held: Any, origin: str) -> RunShown:
    """What a record says of its run. Raises: ValueError for values of another kind."""
    sure = {name: entry(held, name, kind, origin=origin) for name, kind in KINDS.items()}
    maybe = {name: entry_or(held, name, kind, None, origin=origin) for name, kind in MAYBE.items()}
    state = entry(held, "state", str, origin=origin, among=get_args(State))
    return RunShown(**sure, **maybe, state=state)


def _runs_elsewhere(who: str) -> bool:
    """Whether the studio that wrote a record is another one than this, which still runs."""
    return who != me() and lives(who)


def _failed(error: str) -> dict[str, Any]:
    return {"state": "failed", "said": "", "left": None, "error": error, "resumes": True}


def memory() -> int:
    """Bytes that this process holds now; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
