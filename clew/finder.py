"""The one finder: a file's name is its name, wherever in its room it lies, and other packages add theirs by entry point.

A room is a folder of clew, written with dots: "methods", "measures.circuits", "data.readers". An entry point's group is
"clew." and the room; its name is what is asked for. Its object is a module written like a file of ours, or what such a
file would hold under its name. What is broken in another package breaks only what asks for it.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from clew.near import near

HERE = Path(__file__).parent

APART = ("formats", "modules", "explainers", "scorers", "floors")
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
    found, wanted = file(room, name), name.replace("-", "_")
    function = getattr(found, wanted, None) if isinstance(found, ModuleType) else found
    if not callable(function):
        where = f"{found.__name__.replace('.', '/')}.py" if isinstance(found, ModuleType) else repr(found)
        raise ValueError(f"{where} must define a function named {wanted!r}")
    return function


def file(room: str, name: str) -> Any:
    """The file `name`.py of a room itself, as a module; of other packages what their entry point names.

    Raises: as `load`.
    """
    wanted, own, guests = name.replace("-", "_"), _own(room), _guests(room)
    if wanted in own:
        return importlib.import_module(own[wanted])
    if wanted in guests:
        return guests[wanted].load()
    raise ValueError(f"{name!r} is not one of clew's {_words(room)}; {_near(name, names(room))}")


def files(room: str) -> Iterator[tuple[str, Any]]:
    """Each file of a room, by name; those of other packages last, each loaded when its turn comes.

    A stranger's file that cannot be loaded is left out with a warning that names it; asked for by name, it raises.
    """
    for name in sorted(own := _own(room)):
        yield name, importlib.import_module(own[name])
    for name, guest in sorted(_guests(room).items()):
        if name not in own and (found := _tried(guest, guest.load)) is not None:
            yield name, found


def functions(room: str) -> dict[str, Callable[..., Any]]:
    """The function of every file of a room, by name. A stranger's that cannot be loaded is left out with a warning."""
    found = {name: load(room, name) for name in _own(room)}
    guests = {name: guest for name, guest in _guests(room).items() if name not in found}
    found |= {name: _tried(guest, partial(load, room, name)) for name, guest in guests.items()}
    return {name: function for name, function in sorted(found.items()) if function is not None}


def rooms(within: str) -> list[str]:
    """The rooms inside one, by their dotted names: those of the measures, one for each kind of claim."""
    inside = pkgutil.iter_modules([str(HERE.joinpath(*within.split(".")))])
    return sorted(f"{within}.{module.name}" for module in inside if module.ispkg and not module.name.startswith("_"))


def reading(room: str, given: Any) -> tuple[str, Any] | None:
    """The first format of a room that matches what is given (a path, rows, parsed JSON), and its name first.

    A file of formats without a `matches` can only be written. None if none matches. Other packages are asked only about
    what none of ours matches.
    """
    own, guests = _own(room), _guests(room)
    for name, format in files(room):
        asked = partial(getattr(format, "matches", _never), given)
        if asked() if name in own else _tried(guests[name], asked):
            return name, format
    return None


def _never(given: object) -> bool:
    """The `matches` of a format that can only be written."""
    return False


def writing(room: str, name: str) -> Any:
    """The format of that name, if it can be written. Raises: ValueError naming those that can."""
    if name.replace("-", "_") in names(room) and hasattr(format := file(room, name), "write"):
        return format
    writers = [known for known, format in files(room) if hasattr(format, "write")]
    raise ValueError(f"{name!r} is not a format that clew writes; {_near(name, writers)}")


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


def _tried(guest: EntryPoint, attempt: Callable[[], Any]) -> Any:
    """What the attempt gives; None, and a warning that names the entry point, where it fails."""
    try:
        return attempt()
    except Exception as error:  # a stranger's error of any kind is no reason to fail what does not need it
        whose = f" of {guest.dist.name}" if guest.dist else ""
        said = f"{type(error).__name__}: {error}"
        warnings.warn(f"{guest.group} {guest.name!r}{whose} ({guest.value}) was left out: {said}", stacklevel=2)
        return None


def _words(room: str) -> str:
    """A room as it is called in a sentence: "methods", "measures of circuits", "formats of edits", "behaviours"."""
    *above, last = room.split(".")
    if "formats" in (last, *above[-1:]):
        return f"formats of {above[-1] if last == 'formats' else last}"
    return {"data.readers": "behaviours"}.get(room, f"measures of {last}" if above == ["measures"] else last)


def _near(name: str, known: Any) -> str:
    return near(name, sorted(known)) if known else "there are none"
