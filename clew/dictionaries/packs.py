"""Packs: dictionaries that an installed package brings, opened by name. clew's own come with the package clew-packs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from importlib.metadata import EntryPoint, entry_points
from operator import or_
from pathlib import Path

from clew.labels import Labels
from clew.sites import Site

LABELS = ".labels.json.gz"
"""How the file ends in which a pack says what the units of a site mean: `resid.3.labels.json.gz`."""
GROUP = "clew.packs"
"""Of entry points. The object is a package; each folder of it that holds safetensors is a pack by the folder's name."""

OURS = "clew"
"""The entry point of clew-packs."""


def packs() -> dict[str, list[Path]]:
    """The folders of each installed pack by its name, sorted: more than one where two packages bring the same name."""
    found: dict[str, list[Path]] = {}
    for entry in entry_points(group=GROUP):
        for folder in _folders(entry):
            if folder not in found.setdefault(folder.name, []):
                found[folder.name].append(folder)
    return dict(sorted(found.items()))


def pack(name: str) -> Path | None:
    """The folder of an installed pack, if there is one. Raises: ValueError if two packages bring one of that name."""
    folders = packs().get(name, [])
    if len(folders) > 1:
        here = " and ".join(str(folder) for folder in folders)
        raise ValueError(f"more than one installed package brings a pack {name!r}; pass the path of one: {here}")
    return folders[0] if folders else None


def pack_labels(name: str, sites: Iterable[Site | str] | None = None) -> Labels:
    """What an installed pack says of its units, of all its sites or of these; nothing where it says nothing.

    Raises: ValueError for a pack that is not installed, naming those that are, and for what is no list of sites.
    """
    if isinstance(sites, str):
        raise ValueError(f"sites is the text {sites!r}; give a list, as [{sites!r}]")
    folder = pack(name)
    if folder is None:
        raise ValueError(f"there is no pack {name!r}; {what_there_is()}")
    files = {path.name.removesuffix(LABELS): path for path in sorted(folder.glob(f"*{LABELS}"))}
    wanted = files if sites is None else dict.fromkeys(str(Site.parse(site)) for site in sites)
    return reduce(or_, (Labels.load(files[site]) for site in wanted if site in files), Labels())


def what_there_is() -> str:
    """In words: the installed packs, and how to come by clew's own where they are not among them."""
    known = packs()
    said = f"installed packs: {', '.join(known)}" if known else "no pack is installed"
    if any(entry.name == OURS for entry in entry_points(group=GROUP)):
        return said
    return f"{said}; clew's own come by pip install 'clew[packs]', in a clone of clew by pip install -e ./packs"


def _folders(entry: EntryPoint) -> list[Path]:
    package = entry.load()
    if not hasattr(package, "__path__"):
        raise ValueError(
            f"the entry point {entry.name!r} of {GROUP} is {entry.value!r}, which is no package; a package that brings "
            f"packs names itself there, and its folders are the packs"
        )
    inside = [folder for root in package.__path__ for folder in sorted(Path(root).iterdir()) if folder.is_dir()]
    return [folder for folder in inside if next(folder.rglob("*.safetensors"), None)]
