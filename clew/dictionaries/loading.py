"""Dictionaries from a path and into one, whatever the format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clew import finder
from clew.dictionaries.packs import pack, what_there_is
from clew.files import DAMAGE, whole
from clew.sites import Site
from clew.tensors import check_finite

FORMATS = "dictionaries.formats"

HUB_ID = r"[\w-][\w.-]*/[\w.-]+"

DEPTH = 6
"""How far below the folder that the user names I look for dictionaries."""


def load(path: str | Path, at: Site | str | None = None) -> list[Any]:
    """See `Dictionary.load`."""
    path, sites = _found(str(path)), _ends(at)
    with whole(path, "dictionary"):
        found = [dictionary for place in _places(path, DEPTH) for dictionary in _read(*place, sites)]
    if not found:
        inside = sorted(p.name for p in path.iterdir()) if path.is_dir() else [f"a file of {path.stat().st_size} bytes"]
        shown = ", ".join(inside[:8]) + (f" and {len(inside) - 8} more" if len(inside) > 8 else "")
        raise ValueError(
            f"{path} holds no dictionary in a format we know ({', '.join(finder.names(FORMATS))}); "
            f"found there: {shown or 'an empty folder'}"
        )
    if sites is not None and len(found) > 1:
        raise ValueError(f"{path} holds {len(found)} dictionaries; `at` is the site of one, so pass the path of one")
    return sorted(found, key=lambda dictionary: (dictionary.writes.order, dictionary.reads.order))


def save(dictionary: Any, path: str | Path, format: str = "clew") -> Path:
    """See `Dictionary.save`."""
    path = Path(path).expanduser()
    finder.writing(FORMATS, format).write(dictionary, path)
    return path


def _found(name: str) -> Path:
    """A path, or the folder of an installed pack."""
    path = Path(name).expanduser()
    if path.exists():
        return path
    if brought := pack(name):
        return brought
    known = f"; {what_there_is()}" if path.name == name else ""
    hub = f"; Dictionary.from_pretrained({name!r}) fetches it from the hub" if re.fullmatch(HUB_ID, name) else ""
    raise ValueError(f"there is no file or folder {name!r} (here is {str(Path.cwd())!r}){known}{hub}")


def _places(path: Path, depth: int) -> Iterator[tuple[Path, str, Any]]:
    """Every file or folder at or below `path` that looks like a format, with that format's name and itself."""
    if found := finder.reading(FORMATS, path):
        yield path, *found
        return
    if path.is_dir() and depth:
        for child in sorted(p for p in path.iterdir() if p.is_dir()):
            yield from _places(child, depth - 1)


def _read(path: Path, name: str, format: Any, at: tuple[Site, Site] | None) -> list[Any]:
    """The dictionaries in one place, every value of them finite. Raises: ValueError that begins with its path."""
    try:
        found = format.read(path, at)
        for dictionary in found:
            check_finite(dictionary.state_dict(), f"the dictionary at {dictionary.writes}")
    except DAMAGE as error:
        raise ValueError(f"{path} could not be opened as a {name} dictionary: {error}") from error
    return found


def _ends(at: Site | str | None) -> tuple[Site, Site] | None:
    if at is None:
        return None
    reads, arrow, writes = str(at).partition("->")
    return Site.parse(reads.strip()), Site.parse((writes if arrow else reads).strip())
