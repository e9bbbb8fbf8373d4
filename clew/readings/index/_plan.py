"""What stands in the folder of an index beside its numbers: how it was made, and which files belong to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from clew.files import check_whole, entries, entry, read_json
from clew.readings._recording import MADE_IN, is_whole
from clew.sites import Site

FORMAT, VERSION = "clew index", 1
PLAN, PARTS = "index.json", "parts"
Keep = Literal["all", "top"]
KINDS: dict[str, type[Any]] = {
    "format": str,
    "version": int,
    **MADE_IN,
    "sites": dict,
    "keep": str,
    "top": int,
    "sample": int,
    "seed": int,
    "tokens": int,
    "positions": int,
    "chunk": int,
    "chunks": int,
    "policy": dict,
}
"""What the plan of an index holds."""
SITE = {"reads": str, "kind": str, "unit": str, "units": int, "everywhere": bool, "fingerprint": str}
"""And of each of its sites: `everywhere` where units fire at every position, so that the top and a sample of them stay."""


def read_plan(folder: Path) -> dict[str, Any]:
    """How an index was made. Raises: ValueError naming the file and the place in it."""
    plan, origin = read_json(folder / PLAN, FORMAT), str(folder / PLAN)
    if plan.get("version") != VERSION:
        raise ValueError(f"{folder} is an index of version {plan.get('version')}, and this clew reads {VERSION}")
    check_whole(plan, KINDS, origin)
    for name, kind in KINDS.items():
        entry(plan, name, kind, origin=origin, **({"at_least": 0} if kind is int else {}))
    entry(plan, "keep", str, origin=origin, among=get_args(Keep))
    entries(plan, "edits", str, origin=origin)
    for site, said in plan["sites"].items():
        place = f"{origin}: sites[{site!r}]"
        Site.parse(site)
        check_whole(said, SITE, place)
        for name, kind in SITE.items():
            entry(said, name, kind, origin=place, **({"at_least": 1} if kind is int else {}))
        Site.parse(said["reads"])
    return plan


def chunk_path(folder: Path, number: int) -> Path:
    """Where the firings of a part of the text lie, in its order."""
    return folder / "firings" / f"{number:05d}.safetensors"


def part_path(folder: Path, site: Site | str, first: int, end: int) -> Path:
    """Where that lies, while an index is made, which stays of the firings of a run of chunks."""
    return folder / PARTS / str(site) / f"{first}-{end}.safetensors"


def is_thin(about: Mapping[str, Any], site: str) -> bool:
    """Whether the top and a sample of what fires at a site are all that stays."""
    return about["keep"] == "top" or about["sites"][site]["everywhere"]


def chunks_kept(about: Mapping[str, Any]) -> int:
    """How many chunks stay in the folder."""
    return 0 if all(is_thin(about, site) for site in about["sites"]) else about["chunks"]


def shard_path(folder: Path, site: Site | str, first: int, end: int) -> Path:
    """Where the rows of a range of units lie."""
    return folder / str(site) / f"{first}-{end}.safetensors"


def ranges(folder: Path, site: Site | str) -> list[tuple[int, int]]:
    """The ranges of units that lie in the folder of a site, ascending."""
    names = (re.fullmatch(r"(\d+)-(\d+)\.safetensors", path.name) for path in (folder / str(site)).glob("*"))
    return sorted((int(name[1]), int(name[2])) for name in names if name)


def missing(folder: Path, about: Mapping[str, Any]) -> list[str]:
    """The sites whose rows are not all there, and whole."""

    def found(site: str) -> list[tuple[int, int]]:
        return [pair for pair in ranges(folder, site) if is_whole(shard_path(folder, site, *pair))]

    return [site for site, said in about["sites"].items() if not _covers(found(site), said["units"])]


def _covers(found: list[tuple[int, int]], units: int) -> bool:
    ends = [(0, 0), *found, (units, units)]
    return all(before[1] == after[0] for before, after in pairwise(ends)) and all(a < b for a, b in found)
