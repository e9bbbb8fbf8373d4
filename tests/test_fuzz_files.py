"""No file loads as something else, ends in a raw exception, or hangs, whatever has happened to it.

A few hundred changes in every run; `CLEW_FUZZ=2000 pytest tests/test_fuzz_files.py` makes so many, `CLEW_FUZZ_SEED=1` others.

What is read of a changed file must be an error that names it, or what the whole file holds, or a legal variant of it:

- In places where a file says what it wants (what is said about something and decides nothing: `meta`, `about`, a report's
  provenance) anything may stand.
- Another value of the same kind (a flipped bit of a weight, a letter of a text, another number in range) is a variant where
  what it stands in is the same: the same types, names, shapes, flags. So is a row, an item of a list or an entry of a
  table less or more, where each can stand for itself.
- A float for a float of another size is one, where the file does not say which it holds.
- So is another kind where the schema of a format lets one stand: null as the `feature` of a node that is none, a text in
  place of a chat; and the usual value of what is left out of a file that is written by hand: as the `seed` of a plan.
"""

from __future__ import annotations

import ast
import os
import random
import shutil
import signal
import warnings
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clew import finder, report
from tests.fuzz import atlases, folders  # noqa: F401  their doors
from tests.fuzz.doors import DOORS, Door, Numbers, plain
from tests.fuzz.mutations import BYTES, Change, changed

CHANGES = int(os.environ.get("CLEW_FUZZ", "300"))
SEED = os.environ.get("CLEW_FUZZ_SEED", "")
SECONDS = 20
"""After which a file is said to hang its reader."""
FREE = {
    "meta",
    "about",
    "provenance",
    "details",
    "fitted",
    "config",
    "made_for",
    "note",
    "notes",
    "properties",
    "options",
}
FREE |= {"name", "policy", "cost", "d_model"}
"""What may say anything."""
TABLES = {"labels", "dictionaries", "units", "cells", "cost", "recovered", "judged", "layer_activations"}
TABLES |= {"nodes", "edges"}  # of MIB's files, which others may write in part; those of our circuits are columns
"""Names of objects whose own names are data."""
CELLS = (".csv", ".yaml", "simple.jsonl", "pets.jsonl", "a.json", "a.jsonl")
"""Files of cells, in which a number is what is written there, a list several answers, and a name more a label more."""


def outline(value: Any, *, sizes: bool = True) -> Any:
    """What a value is, without what it says: types, names, axes, flags; lists and tables by the kinds of their items."""
    if isinstance(value, Numbers):
        return value.dtype if sizes else "", len(value.shape), value.finite
    if isinstance(value, dict):
        inner = {n: [*held.values()] if n in TABLES and isinstance(held, dict) else held for n, held in value.items()}
        return {name: outline(held, sizes=sizes) for name, held in inner.items()}
    if isinstance(value, list):
        return [outline(held, sizes=sizes) for held in value]
    if value is None or isinstance(value, bool):
        return value
    return "number" if isinstance(value, int | float) else type(value).__name__


def alike(one: Any, other: Any) -> bool:
    """Whether two outlines are of one kind: each item of either list like one of the other, where that has any."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        few, many = sorted((one, other), key=len)
        return all(any(alike(a, b) for b in many) for a in few)
    return one == other


def told(value: Any, said: Collection[str] = ()) -> Any:
    """A value without what may say anything."""
    if isinstance(value, dict):
        return {n: told(held, said) for n, held in value.items() if n not in FREE and (not said or n in said)}
    return [told(held, said) for held in value] if isinstance(value, list) else value


SAME_KIND = {
    *BYTES,
    "negative",
    "huge",
    "drop item",
    "item again",
    "tensor turned",
    "tensor half",
    "tensor short",
    "null",
}
"""Changes after which another value of the same kind may stand in the file."""
NULLS = ("feature", *report.NULLS)
"""Names under which a format has null beside numbers: of a node, and of a row of a report that is kept as it is."""
PROMPTS = ("clean", "patch")
"""Names under which a format has texts beside lists."""
OTHERS = {("x/run_config.json", "explainer_model")}
"""What another tool's file may lack, and may call otherwise: it may hold more than we know."""
USUAL = {("plans.json", "seed"), *OTHERS}
"""What a file may leave out."""


def legal(change: Change, whole: Any, found: Any, said: Collection[str] = ()) -> bool:
    """Whether what was read of a changed file is what the whole one holds, or a variant of it."""
    whole, found = told(whole, said), told(found, said)
    if found == whole:
        return True
    in_table = (
        len(change.where) > 1 and change.where[-2] in TABLES and change.kind in ("drop", "rename", "add", "retype")
    )
    in_cell = change.file.endswith(CELLS) and change.kind in ("retype", "nan", "inf", "deep", "add", "drop")
    if change.where and _of_either_kind(change, change.where[-1]):
        return True
    same = change.kind in SAME_KIND or in_table or in_cell or change.was is None
    sizes = change.kind != "tensor half"
    return same and alike(outline(found, sizes=sizes), outline(whole, sizes=sizes))


def _of_either_kind(change: Change, name: Any) -> bool:
    """Whether the schema of a format has this kind of value there, or none, as well."""
    left_out = {
        kind: [at for file, at in of if file == change.file] for kind, of in (("drop", USUAL), ("rename", OTHERS))
    }
    kinds = {"null": NULLS, "retype": PROMPTS, **left_out}
    return name in kinds.get(change.kind, ())


@contextmanager
def limited() -> Iterator[None]:
    """Raises: TimeoutError after SECONDS."""

    def ring(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault(door: Door, path: Path, folder: Path, whole: Any, rng: random.Random) -> str | None:
    """What is wrong with how a path of a folder is read once one of its files has changed; None where nothing is."""
    change = changed(folder, rng)
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = plain(door.load(path), str(folder))
    except (ValueError, OSError) as error:
        named = str(folder) in str(error) or Path(change.file).name in str(error)
        hangs = isinstance(error, TimeoutError)
        return None if named and not hangs else f"{change}: {type(error).__name__} that names no file: {error!s:.300}"
    except Exception as error:
        return f"{change}: {type(error).__name__}: {error!s:.300}"
    return None if legal(change, whole, found, door.said) else f"{change}: loads as something else"


def faults(name: str, place: Path, changes: int, seed: str) -> list[str]:
    """What is wrong with how a door reads files of its kind after so many changes, each to a whole one in an empty folder."""
    door, found = DOORS[name], list[str]()
    first = place / "whole"
    first.mkdir()
    inside = door.make(first).relative_to(first)
    for number in range(changes):
        folder = Path(shutil.copytree(first, place / "changed"))
        whole = plain(door.load(folder / inside), str(folder))
        rng = random.Random(zlib.crc32(f"{name} {number} {seed}".encode()))
        if wrong := fault(door, folder / inside, folder, whole, rng):
            found.append(f"{number}: {wrong}")
        shutil.rmtree(folder)
    return found


@pytest.mark.parametrize("name", DOORS)
def test_a_changed_file_is_refused_by_name_or_is_what_it_was(tmp_path: Path, name: str) -> None:
    found = faults(name, tmp_path, max(1, CHANGES // len(DOORS)), SEED)
    assert not found, "\n".join(found)


ROOMS = (
    "dictionaries.formats",
    "edits.formats",
    "circuits.formats",
    "data.formats.behaviours",
    "data.formats.facts",
    "readings.index.formats",
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_format_that_is_read_has_a_door(room: str) -> None:
    read = {name for name, format in finder.files(room) if hasattr(format, "matches")}
    doors = {name.split("/")[1].split()[0] for name in DOORS if name.startswith(f"{room}/")}
    assert read <= doors, f"without a whole file to change: {', '.join(sorted(read - doors))}"


READERS = {
    "read_text",
    "read_json",
    "read_any_json",
    "read_tensors",
    "open_tensors",
    "map_tensors",
    "read_torch",
    "read_npz",
    "parse_json",
}
HOUSE = Path(__file__).parent.parent / "clew"
INNER = {"files", "tensors", "archives", "dictionaries/formats/_tensors"}
"""What the readers themselves are made of."""
REPLIES = {"readings/asking/_sending", "apps/cli/serve", "apps/cli/_trial"}
"""What reads no file but what servers say, which tests/readings/asking/test_endpoint.py garbles, what is typed, and what a
child process of ours says."""


def test_every_file_of_clew_that_reads_is_behind_a_door() -> None:
    reading = set()
    for path in sorted(HOUSE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        if names & READERS:
            reading.add(path.relative_to(HOUSE).with_suffix("").as_posix())
    rooms = tuple(room.replace(".", "/") for room in ROOMS)
    behind = {file for door in DOORS.values() for file in door.reads} | INNER | REPLIES
    left = {file for file in reading - behind if not file.startswith(rooms)}
    assert not left, f"no door leads to {', '.join(sorted(left))}"
