"""A run on disk: what was planned, where it stands, its log, and the dictionaries when they are done.

run.json         what is learnt and how; another plan in the same folder is refused
log.jsonl        one line per dictionary and step
checkpoint-N/    everything that the next step depends on; the newest is kept
NAME.safetensors the dictionaries, when the run is done
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from clew.dictionaries import Dictionary
from clew.files import check_whole, entries, entry, parse_json, read_json, texts_by_name, whole, write_json
from clew.scale import processes
from clew.scale.alone import alone
from clew.tensors import check_finite, read_tensors, write_tensors
from clew.training.loop.batches import Cursor
from clew.training.loop.fit import Fit
from clew.training.plan import Plan

FORMAT, VERSION = "clew training", 1
STATE = "checkpoint.json"
FLUSH = 5.0
"""Seconds between writes of the log."""


class RunFolder:
    """One folder; without a folder nothing is written and nothing is resumed."""

    def __init__(self, to: str | Path | None, how: Mapping[str, Any], plans: Sequence[Plan]) -> None:
        self.folder = None if to is None else Path(to)
        self.plans = plans
        about = {"format": FORMAT, "version": VERSION, "plans": [p.plain() for p in plans], **how}
        self.lines: list[str] = []
        self.flushed = time.monotonic()
        self.about = json.loads(json.dumps(about))
        if self.folder is not None:
            self._check_plan(self.folder / "run.json")

    def _check_plan(self, plan: Path) -> None:
        held = read_json(plan, FORMAT) if plan.exists() else self.about
        if differing := [k for k in sorted({*held, *self.about}) if held.get(k) != self.about.get(k)]:
            raise ValueError(
                f"{plan.parent} holds another run, with other {', '.join(differing)}; choose another folder or remove it"
            )

    @contextmanager
    def alone(self) -> Generator[None]:
        """Have the folder, in which the plan then stands, for this run. Raises: ValueError where another run has it."""
        with ExitStack() as stack:
            refused = None
            if self.folder is not None and processes.rank() == 0:
                try:
                    stack.enter_context(alone(self.folder, "training", lock=".lock"))
                    self._plant(self.folder)
                except ValueError as error:
                    refused = error
            if processes.largest(int(refused is not None)):  # all stop, where one would wait for the others
                raise refused or ValueError(f"{self.folder} is in use by another run")
            yield

    def _plant(self, folder: Path) -> None:
        """Write the plan, if it is not there, and sweep away what a run that was killed had begun."""
        plan = folder / "run.json"
        self._check_plan(plan)
        if not plan.exists():
            write_json(plan, self.about)
        for half in folder.glob("checkpoint-*.part"):
            shutil.rmtree(half)

    def _files(self, folder: Path) -> list[Path]:
        return [folder / f"{plan.title}.safetensors" for plan in self.plans]

    def finished(self) -> list[Dictionary] | None:
        """The dictionaries, if the run is done: all processes say the same."""
        files = [] if self.folder is None else self._files(self.folder)
        missing = not files or not all(path.exists() for path in files)
        return None if processes.largest(int(missing)) else [Dictionary.load(path)[0] for path in files]

    def _checkpoints(self) -> list[Path]:
        """Whole ones, oldest first."""
        folders = [] if self.folder is None else self.folder.glob("checkpoint-*")
        return sorted((f for f in folders if f.name[11:].isdigit()), key=lambda f: int(f.name[11:]))

    def save(self, step: int, cursor: Cursor, fits: Sequence[Fit]) -> None:
        """Write everything that the next step depends on; the folder gets its name when it is whole."""
        if self.folder is None:
            return
        old, folder = self._checkpoints(), self.folder / f"checkpoint-{step}"
        making = self.folder / f"checkpoint-{step}.part"
        if processes.rank() == 0:
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
        processes.wait()
        for number, fit in enumerate(fits):
            if processes.rank() and not fit.objective.sharded:
                continue
            tensors = {f"tensors.{n}": t for n, t in fit.objective.tensors.items()}
            tensors |= {f"state.{n}": t for n, t in fit.objective.state.items()}
            if fit.optimiser is not None:
                for i, moments in enumerate(fit.optimiser.state_dict()["state"].values()):
                    tensors |= {f"adam.{i}.{n}": t for n, t in moments.items()}
            held = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
            log = {name: float(number).hex() for name, number in fit.log.items()}  # which may be no number
            text = json.dumps({"log": log, "settings": fit.objective.settings}, allow_nan=False)
            write_tensors(making / _part(number, fit), held, {"fit": text})
        processes.wait()
        if processes.rank():
            return
        state = {"format": FORMAT, "version": VERSION, "step": step, "cursor": list(cursor), "log": self._flush()}
        write_json(making / STATE, state)
        making.rename(folder)
        for other in old:
            shutil.rmtree(other)

    def resume(self, fits: Sequence[Fit]) -> tuple[int, Cursor] | None:
        """Bring the fits to where the newest checkpoint stands; the step, and the cursor of the batches."""
        found = self._checkpoints()
        if not found:
            self._forget(0)
            return None
        with whole(found[-1] / STATE, "checkpoint"):
            state, origin = read_json(found[-1] / STATE, FORMAT), str(found[-1] / STATE)
            check_whole(state, ("format", "version", "step", "cursor", "log"), origin)
            entry(state, "version", int, origin=origin, among=(VERSION,))
            log, step = (entry(state, name, int, origin=origin, at_least=0) for name in ("log", "step"))
            first, second = entries(state, "cursor", int, origin=origin, at_least=0)
        if step != int(found[-1].name[11:]):
            raise ValueError(f"{origin} is of step {step}, which its folder is not")
        for number, fit in enumerate(fits):
            _restore(fit, found[-1] / _part(number, fit))
        self._forget(log)
        return step, (first, second)

    def _forget(self, size: int) -> None:
        """Cut the log to this length: what came after it will be logged again."""
        if self.folder and (log := self.folder / "log.jsonl").exists() and processes.rank() == 0:
            with log.open("rb+") as file:
                file.truncate(size)

    def log(self, step: int, fits: Sequence[Fit]) -> None:
        """A line per dictionary."""
        if self.folder is None or processes.rank():
            return
        self.lines += [json.dumps({"step": step, "name": f.plan.title, **f.log}) for f in fits]
        if time.monotonic() - self.flushed > FLUSH:
            self._flush()

    def _flush(self) -> int:
        """Write the lines; how long the log is then."""
        assert self.folder is not None
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self.lines)
            self.lines, self.flushed = [], time.monotonic()
            return file.tell()

    def finish(self, dictionaries: list[Dictionary]) -> list[Dictionary]:
        """Write the dictionaries; checkpoints are no longer needed."""
        if self.folder is not None and processes.rank() == 0:
            self._flush()
            for dictionary, path in zip(dictionaries, self._files(self.folder), strict=True):
                dictionary.save(path)
            for old in self._checkpoints():
                shutil.rmtree(old)
        return dictionaries


def _part(number: int, fit: Fit) -> str:
    """The file of a fit in a checkpoint: one for all processes, or one each."""
    return f"{number}.{processes.rank()}.safetensors" if fit.objective.sharded else f"{number}.safetensors"


def _restore(fit: Fit, path: Path) -> None:
    with whole(path, "part of a checkpoint"):
        _take(fit, *read_tensors(path), origin=str(path))


def _take(fit: Fit, tensors: Mapping[str, Tensor], said: Mapping[str, str], *, origin: str) -> None:
    check_whole(said, ("fit",), f"the head of {origin}")
    plain = parse_json(said["fit"], f"the head of {origin}")
    check_whole(plain, ("log", "settings"), f"the head of {origin}")
    check_finite(tensors, origin)
    fit.objective.settings = plain["settings"]
    fit.log = {name: float.fromhex(number) for name, number in texts_by_name(plain, "log", origin=origin).items()}
    fit.objective.told = {n: v for n, v in fit.log.items() if n != "loss"}
    held: dict[str, dict[str, Tensor]] = {"tensors": {}, "state": {}, "adam": {}}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        held[kind][rest] = tensor.to(fit.x.centre.device, copy=True)  # aligned in memory as before: sums round alike
    fit.objective.tensors, fit.objective.state = held["tensors"], held["state"]
    fit.adam()
    if fit.optimiser is not None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in held["adam"].items():
            i, _, rest = name.partition(".")
            moments.setdefault(int(i), {})[rest] = tensor
        fit.optimiser.load_state_dict({**fit.optimiser.state_dict(), "state": moments})
