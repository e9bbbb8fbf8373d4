"""What rooms offer by name: each file with the folder it lies in and the first line about it."""

from __future__ import annotations

from collections.abc import Sequence

from clew.apps.cli._terminal import say, table


def listed(rooms: Sequence[str], json: bool) -> None:
    """Say every name of some rooms, folder by folder."""
    rows = sorted((row for room in rooms for row in _rows(room)), key=lambda row: (row["of"], row["name"]))
    say(table([(row["name"], row["of"], row["description"]) for row in rows]), rows, json)


def _rows(room: str) -> list[dict[str, str]]:
    from clew.finder import functions

    return [
        {
            "name": name,
            "of": _folder(function.__module__),
            "description": (function.__doc__ or "").strip().partition("\n")[0],
        }
        for name, function in functions(room).items()
    ]


def _folder(module: str) -> str:
    """The folder of a file of clew; of another package its name."""
    package, *folders = module.split(".")[:-1] or [module]
    return folders[-1] if package == "clew" and folders else package
