"""Behaviours by name: those of clew, and files of the folder."""

from __future__ import annotations

from functools import cache
from typing import Any

from clew.apps._desk.folder import Folder
from clew.apps._desk.items import readable


@cache
def available() -> dict[str, str]:
    """Those that come by name, with a line about each; of models whose circuits are known, theirs."""
    from clew.data.behaviours.behaviour import Behaviour
    from clew.finder import names

    planted = {f"planted/{name}": "of the model of that name, whose circuit is known" for name in names("data.planted")}
    return Behaviour.available() | planted


def place_of(folder: Folder, name: str) -> str:
    """What `Behaviour.load` is given for a name. Raises: NotAllowed, NotHere for what is no behaviour and no file here."""
    return name if name in available() else str(folder.file(name))


def behaviour_of(folder: Folder, name: str, model: Any, **options: Any) -> Any:
    """The pairs that this model can be asked. Raises: ValueError naming the file as it is called in the folder."""
    import clew

    place = place_of(folder, name)
    try:
        return clew.Behaviour.load(place, model=model, **options)
    except ValueError as error:
        if place == name:
            raise
        raise ValueError(readable(error, folder.path(name), name)) from error
