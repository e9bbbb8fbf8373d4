"""Rules for many units wherever there is room: workers find and score them, and one process alone writes them down."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from clew.files import check_whole, entries, read_json, typed, write_json
from clew.labels import Label
from clew.progress import Tell
from clew.readings.index.index import Index
from clew.scale.map import Mapped, map
from clew.scale.workers import Workers
from clew.verbs import explain

FORMAT = "clew units under way"
EXPLAINED, LABELLED = "explained", "labelled"
"""How the names of the two parts of the work begin."""
Known = dict[tuple[str, str], tuple[str, list[Any]]]
"""Of a part and an address, how and what."""
AT_ONCE = 16
"""Units that are one item."""


@dataclass
class Share:
    """What a worker knows of all units, and what it makes of its own; in place of an index's file of labels."""

    units: frozenset[str]
    known: Known
    path: Path = Path("what workers know")
    new: list[tuple[str, str, str, list[Any]]] = field(default_factory=list[tuple[str, str, str, list[Any]]])

    def wants(self, address: str) -> bool:
        """Whether what is said of a unit is asked for."""
        return address in self.units

    def made(self, part: str, address: str) -> tuple[str, list[Any] | None]:
        """As of `LabelFile`."""
        return self.known.get((part, address), ("", None))

    def keep(self, part: str, how: str, address: str, held: list[Any], labels: Sequence[Label] | None = None) -> None:
        """As of `LabelFile`."""
        self.new.append((part, how, address, held))


def spread(
    start: Callable[[], Index],
    index: Index,
    units: Sequence[str],
    how: Mapping[str, Any],
    workers: Workers,
    *,
    progress: Callable[[str], Tell | None] = lambda what: None,
) -> None:
    """Explain units in workers, and keep what they find where `clew.explain` with `to=index.labels` finds it.

    Args:
        start: opens the index in a worker; it stands in a module.
        how: what `clew.explain` is given beside, in plain values.
        progress: given what begins, what is told how far that is.

    Raises: ValueError for explanations that are no rules, which are not kept; RuntimeError where units failed as often as
        they were tried.
    Costs: a folder beside the labels, which goes when all is done.
    """
    if how.get("by", "rules") != "rules":
        raise ValueError(
            f"explanations by {how['by']} are made where they are asked for; only rules are made in workers"
        )
    folder = index.labels.path.with_name("labels.work")
    found = {**how, "scorers": (), "floors": ()}
    for part, asked, among in ((EXPLAINED, found, None), (LABELLED, dict(how), list(units))):
        folder.mkdir(exist_ok=True)
        known = write_json(folder / f"{part}.json", {"format": FORMAT, "rows": index.labels.kept(units)})
        do, opened = partial(_done, how=asked, part=part, among=among), partial(_opened, start, known.absolute())
        items = [list(units[first : first + AT_ONCE]) for first in range(0, len(units), AT_ONCE)]
        given = {**workers.plain(), "retry": True, "progress": progress(part)}
        _keep(index, map(do, items, start=opened, folder=folder / part, **given))
    if workers.on != "array":  # where other processes may still look into it
        shutil.rmtree(folder, ignore_errors=True)


def _opened(start: Callable[[], Index], known: Path) -> tuple[Index, Known]:
    """What a worker opens once."""
    return start(), _known(known)


def _done(
    held: tuple[Index, Known], units: list[str], *, how: dict[str, Any], part: str, among: list[str] | None
) -> list[Any]:
    """What is new of some units."""
    index, known = held
    share = Share(frozenset(units), known)
    explain(index, among or units, to=share, **how)
    return [row for row in share.new if row[0].startswith(part)]


def _known(path: Path) -> Known:
    """What was kept of all units. Raises: ValueError naming the file and the row."""
    value, known = read_json(path, FORMAT), Known()
    check_whole(value, ("format", "rows"), str(path))
    for i, row in enumerate(entries(value, "rows", list, origin=str(path))):
        place = f"{path}: rows[{i}]"
        if len(row) != 4:
            raise ValueError(f"{place} has {len(row)} entries; part, how, address and what was kept are due")
        part, how, address = (typed(text, place, str) for text in row[:3])
        known[part, address] = how, typed(row[3], place, list)
    return known


def _keep(index: Index, made: Mapped) -> None:
    for rows in made.whole("units"):
        for part, how, address, held in rows:
            labels = [Label.from_json(one) for one in held] if part.startswith(LABELLED) else None
            index.labels.keep(part, how, address, held, labels=labels)
