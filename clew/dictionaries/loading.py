"""Which format a path is in: every file of `formats/` is asked, so there is no list to keep."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from clew.dictionaries import formats
from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats.hooks import Ends
from clew.sites import Site, near

PACKS = Path(__file__).parent.parent / "packs"
"""Dictionaries that come with clew: a folder for each name."""

HUB_ID = r"[\w-][\w.-]*/[\w.-]+"

DEPTH = 3
"""How far below the folder that the user names I look for dictionaries."""


def load(path: str | Path, at: Site | str | None = None) -> list[Dictionary]:
    """See `Dictionary.load`."""
    path, sites = _found(str(path)), _ends(at)
    found = [dictionary for place, format in _places(path, DEPTH) for dictionary in _read(place, format, sites)]
    if not found:
        inside = sorted(p.name for p in path.iterdir()) if path.is_dir() else [f"a file of {path.stat().st_size} bytes"]
        shown = ", ".join(inside[:8]) + (f" and {len(inside) - 8} more" if len(inside) > 8 else "")
        raise ValueError(
            f"{path} holds no dictionary in a format we know ({', '.join(_formats())}); "
            f"found there: {shown or 'an empty folder'}"
        )
    if sites is not None and len(found) > 1:
        raise ValueError(f"{path} holds {len(found)} dictionaries; `at` is the site of one, so pass the path of one")
    return sorted(found, key=lambda dictionary: (dictionary.writes.order, dictionary.reads.order))


def save(dictionary: Dictionary, path: str | Path, format: str = "clew") -> Path:
    """See `Dictionary.save`."""
    writers = {name: module for name, module in _formats().items() if hasattr(module, "write")}
    if format not in writers:
        raise ValueError(f"{format!r} is not a format that clew writes; {near(format, writers)}")
    path = Path(path).expanduser()
    writers[format].write(dictionary, path)
    return path


def bundled() -> list[str]:
    """Names of the packs that come with clew."""
    return sorted(p.name for p in PACKS.glob("*") if any(p.glob("*.safetensors")))


def _found(name: str) -> Path:
    """A path, or the folder of a bundled pack."""
    path, packs = Path(name).expanduser(), bundled()
    if path.exists():
        return path
    if name not in packs:
        ours = f"; bundled with clew: {', '.join(packs)}" if packs else ""
        hub = f"; Dictionary.from_pretrained({name!r}) fetches it from the hub" if re.fullmatch(HUB_ID, name) else ""
        raise ValueError(f"there is no file or folder {name!r} (here is {str(Path.cwd())!r}){ours}{hub}")
    return PACKS / name


def _formats() -> dict[str, ModuleType]:
    modules = (importlib.import_module(f"{formats.__name__}.{m.name}") for m in pkgutil.iter_modules(formats.__path__))
    return {m.__name__.rpartition(".")[2]: m for m in modules if hasattr(m, "matches")}


def _places(path: Path, depth: int) -> Iterator[tuple[Path, ModuleType]]:
    """Every file or folder at or below `path` that looks like a format, with that format."""
    for module in _formats().values():
        if module.matches(path):
            yield path, module
            return
    if path.is_dir() and depth:
        for child in sorted(p for p in path.iterdir() if p.is_dir()):
            yield from _places(child, depth - 1)


def _read(path: Path, format: ModuleType, at: Ends | None) -> list[Dictionary]:
    try:
        return format.read(path, at)
    except ValueError as error:
        name = format.__name__.rpartition(".")[2]
        raise ValueError(f"{path} could not be opened as a {name} dictionary: {error}") from error


def _ends(at: Site | str | None) -> Ends | None:
    if at is None:
        return None
    reads, arrow, writes = str(at).partition("->")
    return Site.parse(reads.strip()), Site.parse((writes if arrow else reads).strip())
