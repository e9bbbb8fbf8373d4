"""What packs say of their units, read once: a site's labels are a file of megabytes."""

from __future__ import annotations

from functools import cache

from clew.dictionaries.packs import pack_labels, packs
from clew.labels import Labels


@cache
def labels_of(name: str, site: str) -> Labels:
    """Of a pack and a site of it; nothing where there is no such pack, or it says nothing."""
    return pack_labels(name, [site]) if name in packs() else Labels()
