"""What packs hold and say of their units, read once: a site's labels are a file of megabytes."""

from __future__ import annotations

from functools import cache

from clew.apps._desk.items import sites_of
from clew.dictionaries.packs import pack_labels, packs
from clew.labels import Labels


@cache
def labels_of(name: str, site: str) -> Labels:
    """Of a pack and a site of it; nothing where there is no such pack, or it says nothing."""
    return pack_labels(name, [site]) if name in packs() else Labels()


@cache
def sites_of_pack(name: str) -> list[str]:
    """Where the dictionaries of a pack are; nowhere where there is no such pack."""
    return sites_of(path for folder in packs().get(name, []) for path in sorted(folder.glob("*.safetensors")))
