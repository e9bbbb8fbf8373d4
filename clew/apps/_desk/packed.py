"""What packs say of their units, read once: a site's labels are a file of megabytes."""

from __future__ import annotations

from functools import cache

from clew.dictionaries.packs import pack_labels
from clew.labels import Labels


@cache
def labels_of(name: str, site: str) -> Labels:
    """Of a pack and a site of it; nothing where it says nothing."""
    return pack_labels(name, [site])
