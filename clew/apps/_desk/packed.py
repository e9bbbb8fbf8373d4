"""What packs hold and say of their units, read once: a site's labels are a file of megabytes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from clew.dictionaries.packs import pack_labels, packs
from clew.files import DAMAGE
from clew.labels import Labels
from clew.tensors import read_header


@cache
def labels_of(name: str, site: str) -> Labels:
    """Of a pack and a site of it; nothing where there is no such pack, or it says nothing."""
    return pack_labels(name, [site]) if name in packs() else Labels()


@cache
def sites_of_pack(name: str) -> list[str]:
    """Where the dictionaries of a pack are; nowhere where there is no such pack."""
    return sites_of(path for folder in packs().get(name, []) for path in sorted(folder.glob("*.safetensors")))


def sites_of(dictionaries: Iterable[Path]) -> list[str]:
    """Where these files of dictionaries write, by their headers; of one that does not say, nothing."""
    found = list[str]()
    for path in dictionaries:
        try:
            head = read_header(path)
        except (OSError, *DAMAGE):
            continue
        found += [head["writes"]] if "writes" in head else []
    return sorted(set(found))
