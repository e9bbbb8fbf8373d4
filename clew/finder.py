"""The one finder: a file's name is its name, and other packages add theirs by entry point."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from clew.sites import near

HERE = Path(__file__).parent


def names(folder: str) -> list[str]:
    """What can be loaded from `folder` ("methods", "measures", "data.readers"), sorted; nothing is imported.

    A file that starts with an underscore is a folder's own affair and is not listed.
    """
    own = {m.name for m in pkgutil.iter_modules([str(HERE.joinpath(*folder.split(".")))]) if not m.ispkg}
    return sorted({name for name in own if not name.startswith("_")} | set(_guests(folder)))


def load(folder: str, name: str) -> Callable[..., Any]:
    """The function `name` of the file clew/`folder`/`name`.py, or of a third party's entry point in "clew.`folder`".

    Dashes and underscores are alike. Our own file wins over an entry point of the same name.
    Raises: ValueError naming the near names when there is no such file or entry point; ImportError as it is
    when the file's own imports fail.
    """
    wanted = name.replace("-", "_")
    known = names(folder)
    if wanted not in known:
        where = folder.rpartition(".")[2]
        raise ValueError(f"{name!r} is not one of clew's {where}; {near(wanted, known) if known else 'there are none'}")
    guests = _guests(folder)
    if wanted in guests and not HERE.joinpath(*folder.split("."), f"{wanted}.py").exists():
        return guests[wanted].load()
    function = getattr(importlib.import_module(f"clew.{folder}.{wanted}"), wanted, None)
    if not callable(function):
        raise ValueError(f"clew/{folder.replace('.', '/')}/{wanted}.py must define a function named {wanted!r}")
    return function


def _guests(folder: str) -> dict[str, EntryPoint]:
    """Entry points of other packages. Their group is named after the last part of the folder: "clew.readers"."""
    return {e.name.replace("-", "_"): e for e in entry_points(group=f"clew.{folder.rpartition('.')[2]}")}
