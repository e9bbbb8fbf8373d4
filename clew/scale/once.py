"""A folder that is made once, whole, by one of the processes that want it, while the others wait."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from clew.scale.alone import alone
from clew.scale.unfinished import unfinished


def once(folder: Path, make: Callable[[Path], object], doing: str) -> Path:
    """The folder; if it is not there, `make` is called with a path that is not there either, which then gets its name."""
    if folder.exists():
        return folder
    with alone(folder, doing, wait=True):
        if not folder.exists():
            place = unfinished(folder)
            try:
                make(place)
                place.replace(folder)
            finally:
                shutil.rmtree(place, ignore_errors=True)
    return folder


@contextmanager
def scratch(beside: Path) -> Generator[Path]:
    """A folder beside a path, for files on the way to it; gone afterwards."""
    place = unfinished(beside)
    try:
        place.mkdir(parents=True)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
