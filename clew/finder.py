"""The one finder: a file's name is its name, wherever in its room it lies, and other packages add theirs by entry point.

A room is a folder of clew, written with dots: "methods", "measures.circuits", "data.readers". An entry point's group is
"clew." and the room; its name is what is asked for, its object what a file of ours would hold under that name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from clew.sites import near

HERE = Path(__file__).parent

APART = ("formats", "modules")
"""Folders inside a room that are rooms of their own: what lies there has another shape than the files around it."""


def names(room: str) -> list[str]:
    """What can be loaded from a room, sorted; nothing is imported.

    A file that starts with an underscore is a folder's own affair and is not listed.
    """
    return sorted({*_own(room), *_guests(room)})


def load(room: str, name: str) -> Callable[..., Any]:
    """The function `name` of the file `name`.py in a room, or of a third party's entry point.

    Dashes and underscores are alike. Our own file wins over an entry point of the same name.
    Raises: ValueError naming the near names when there is no such file or entry point; ImportError as it is
    when the file's own imports fail.
    """
    wanted, own, guests = name.replace("-", "_"), _own(room), _guests(room)
    if wanted not in own and wanted in guests:
        return guests[wanted].load()
    if wanted not in own:
        raise ValueError(f"{name!r} is not one of clew's {_words(room)}; {_near(name, names(room))}")
    function = getattr(importlib.import_module(own[wanted]), wanted, None)
    if not callable(function):
        raise ValueError(f"{own[wanted].replace('.', '/')}.py must define a function named {wanted!r}")
    return function


def files(room: str) -> dict[str, Any]:
    """The files of a room themselves, by name, as modules; of other packages what their entry points name."""
    own = {name: importlib.import_module(path) for name, path in sorted(_own(room).items())}
    return own | {name: guest.load() for name, guest in sorted(_guests(room).items()) if name not in own}


def reading(room: str, given: Any) -> tuple[str, Any] | None:
    """The first format of a room that matches what is given (a path, rows, parsed JSON), and its name first.

    A file of formats without a `matches` can only be written. None if none matches.
    """
    readers = ((name, format) for name, format in files(room).items() if hasattr(format, "matches"))
    return next((found for found in readers if found[1].matches(given)), None)


def writing(room: str, name: str) -> Any:
    """The format of that name, if it can be written. Raises: ValueError naming those that can."""
    writers = {known: format for known, format in files(room).items() if hasattr(format, "write")}
    if name not in writers:
        raise ValueError(f"{name!r} is not a format that clew writes; {_near(name, writers)}")
    return writers[name]


def _own(room: str) -> dict[str, str]:
    """The dotted path of each public file of a room and of the folders inside it. Raises: ValueError for two of one name."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules([str(HERE.joinpath(*room.split(".")))]):
        if module.name.startswith("_") or (module.ispkg and module.name in APART):
            continue
        inside = _own(f"{room}.{module.name}") if module.ispkg else {module.name: f"clew.{room}.{module.name}"}
        if twice := sorted(found.keys() & inside.keys()):
            raise ValueError(
                f"clew's {_words(room)} have two files named {twice[0]}: {found[twice[0]]}, {inside[twice[0]]}"
            )
        found |= inside
    return found


def _guests(room: str) -> dict[str, EntryPoint]:
    """Entry points of other packages."""
    return {e.name.replace("-", "_"): e for e in entry_points(group=f"clew.{room}")}


def _words(room: str) -> str:
    """A room as it is called in a sentence: "methods", "measures of circuits", "formats of edits", "readers"."""
    *above, last = room.split(".")
    if "formats" in (last, *above[-1:]):
        return f"formats of {above[-1] if last == 'formats' else last}"
    return f"measures of {last}" if above == ["measures"] else last


def _near(name: str, known: Any) -> str:
    return near(name, sorted(known)) if known else "there are none"
