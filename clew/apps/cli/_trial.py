"""A command run in a process of its own, and what that took: a part of it to foretell the whole, or the whole."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from clew.apps.cli._sizes import elsewhere, size_of
from clew.apps.cli._terminal import heard
from clew.files import parse_json, read_any_json, write_json
from clew.scale.forecast import FLAT, Trial

CHILD = "import sys; from clew.apps.cli._trial import child; sys.exit(child())"
STDERR = 2
PATIENCE, GRACE = 3, 30.0
"""How many times its limit, and how many seconds beyond, a part may take that tells nothing of how far it is."""
BEATS = 3
"""Steps after which the memory of work that goes step by step is seen."""
UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which the system counts memory."""
ENDED = -1000
"""The status of a child that was ended here."""


class OutOfTime(KeyboardInterrupt):
    """A part has had its time."""


# Here.


def trial(words: Sequence[str], n: int, limit: float) -> list[Trial]:
    """What the first n took; where they took longer than the limit, what their start took, and what they would have taken.

    Raises: ValueError for a command that fails, or does not tell how far it is.
    """
    with tempfile.TemporaryDirectory() as folder:
        said, used = _run({"words": list(words), "folder": folder, "n": n, "limit": limit})
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    steps = ((what, i + 1, held) for what, heights in said["heights"].items() for i, held in enumerate(heights))
    unseen = None if said["heights"] else ("", 0)
    peak = next(((what, i) for what, i, held in steps if held >= (1 - FLAT) * used.memory), unseen)
    whole = Trial(n, used.seconds, used.cpu, used.memory, disk, said["gpu"], peak)
    if "share" not in said:
        return [whole]
    begun = said["begun"]
    seconds = begun + (said["at"] - begun) / said["share"]
    each = used.cpu / said["at"]
    return [
        replace(whole, items=0, seconds=begun, cpu=begun * each, disk=0),
        replace(whole, seconds=seconds, cpu=seconds * each),
    ]


def first_memory(words: Sequence[str], n: int, limit: float) -> tuple[int, dict[str, int]]:
    """The memory that n items take in so many seconds, in bytes; and how many steps of each work they come to."""
    with tempfile.TemporaryDirectory() as folder:
        asked = {"words": list(words), "folder": folder, "n": n, "limit": limit, "beats": BEATS}
        said, used = _run(asked, patience=1.0)
    return used.memory, {what: len(heights) for what, heights in said.get("heights", {}).items()}


def took(words: Sequence[str], n: int) -> Trial:
    """The whole command, for real; what it prints goes to stderr. Raises: ValueError where it fails."""
    said, used = _run({"words": list(words)}, STDERR)
    return Trial(n, used.seconds, used.cpu, used.memory, 0, said["gpu"])


class Used(NamedTuple):
    """What a process has used."""

    seconds: float
    cpu: float
    memory: int


def _run(asked: dict[str, Any], shown: int | None = None, patience: float | None = None) -> tuple[dict[str, Any], Used]:
    """What a child says, and what it used.

    Args: patience: how many times its limit it may take; it is then ended, and has said nothing.
    Raises: ValueError where it fails, with its last line, or takes too long where no patience is given.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as errors:
        answer = Path(folder) / "answer.json"
        asked = {**asked, "answer": str(answer), "start": time.time()}
        began = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", CHILD, json.dumps(asked)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # this clew, whatever lies in the folder
            stdout=subprocess.DEVNULL if shown is None else shown,
            stderr=errors if shown is None else shown,
        )
        limit = (patience or PATIENCE) * asked["limit"] + GRACE if "limit" in asked else None
        try:
            status, cpu, memory = _waited(child, limit)
        except BaseException:
            child.kill()
            raise
        used = Used(time.monotonic() - began, cpu, memory)
        if status == ENDED and patience:
            return {}, used
        if status == ENDED:
            raise ValueError(
                f"even the smallest part took more than {limit:.0f} s and does not tell how far it is; give it more time by "
                "--within"
            )
        if status:
            errors.seek(0)
            last = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
            raise ValueError(last[-1].removeprefix("clew: ") if last else f"it ended with {status}, and said nothing")
        return read_any_json(answer), used


def _waited(child: subprocess.Popen[bytes], limit: float | None) -> tuple[int, float, int]:
    """The exit status of a child, its seconds of processors and its memory at most; it is ended after so many seconds."""
    until, over = time.monotonic() + limit if limit else None, False
    while True:
        pid, status, used = os.wait4(child.pid, os.WNOHANG if until and not over else 0)
        if pid:
            child.returncode = ENDED if over else os.waitstatus_to_exitcode(status)
            return child.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss * UNIT
        if until and time.monotonic() > until:
            child.kill()
            over = True
        time.sleep(0.02)


# In the child.


def child() -> int:
    """What the process does: a part, or the whole."""
    asked = parse_json(sys.argv[1], "what the child is asked")
    said, status = _done(asked)
    write_json(Path(asked["answer"]), {**said, "gpu": _gpu()})
    return status


def _done(asked: dict[str, Any]) -> tuple[dict[str, Any], int]:
    from clew.apps.cli import exit_code, parsed

    words, at, said = asked["words"], dict[str, Any](), {"heights": dict[str, list[int]]()}

    def hear(what: str, done: int, of: int) -> None:
        now = time.time() - asked["start"]
        if at.get("what") != what and "share" not in at:
            at.update(what=what, begun=now, beats=0)
        if done:
            at["beats"] += 1
            said["heights"].setdefault(what, []).append(_memory())
        if done and now > asked["limit"] and at["beats"] >= asked.get("beats", 1):
            at.setdefault("at", now)
            at.setdefault("share", done / of)
            raise OutOfTime

    def work() -> dict[str, Any]:
        command, given = parsed(words)
        if "n" not in asked:
            command(given)
            return {}
        heard.set(hear)
        try:
            command(elsewhere(size_of(words[0], given).part(asked["n"]), Path(asked["folder"])))
        except KeyboardInterrupt:  # also as what is told of one that was caught on the way
            if "share" not in at:
                raise
            return {name: at[name] for name in ("begun", "at", "share")}
        return {}

    return said, exit_code(lambda: said.update(work()))


def _memory() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def _gpu() -> int:
    """Bytes of GPU memory that this process has held at most."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    return sum(torch.cuda.max_memory_reserved(i) for i in range(torch.cuda.device_count()))
