"""An atlas: behaviours that were found in a text without a person, each with a circuit that was checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clew.circuits.circuit import Circuit
from clew.files import check_whole, entries, entry, jsonable, read_json, texts_by_name, typed, whole, write_json
from clew.report import Report, Row, bootstrap
from clew.studies.atlas.contexts import COUNTED
from clew.studies.atlas.entry import Entry, pair
from clew.tables import many

FORMAT, VERSION = "clew atlas", 1
FILE, CIRCUITS = "atlas.json", "circuits"
NAMES = ("format", "version", "model", "sources", "provenance", "counts", "stability", "entries", "units", "aside")


@dataclass(frozen=True, eq=False)
class Atlas:
    """The entries of an atlas, the largest cluster first.

    >>> atlas = Atlas("a model", ("poems",), {}, {}, {}, ())
    >>> len(atlas), atlas.search("rose")
    (0, [])
    """

    model: str
    sources: tuple[str, ...]
    """Names of the texts."""
    provenance: Mapping[str, Any]
    """How it was come by: weights, dictionaries, the text and every option, as plain JSON."""
    counts: Mapping[str, int]
    """How many places of the text were left by each rule."""
    stability: Mapping[int, float]
    """By number of clusters that was tried, how well two samples agree."""
    entries: tuple[Entry, ...]
    units: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names of the units in its circuits, where they have one."""
    aside: tuple[str, ...] = ()
    """Of the circuits that failed as often as they were tried, what went wrong."""
    folder: Path | None = None
    """Where it was read from."""

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        wired = sum(one.circuit is not None for one in self)
        return f"Atlas({many(len(self), 'behaviour')} of {self.model}, {many(wired, 'circuit')})"

    def __getitem__(self, id: int) -> Entry:
        """Raises: KeyError for a number that no entry has."""
        if id not in self._by_id:
            raise KeyError(f"there is no behaviour {id}; they are numbered from 0 to {len(self) - 1}")
        return self._by_id[id]

    @cached_property
    def _by_id(self) -> dict[int, Entry]:
        return {one.id: one for one in self.entries}

    # Looking for something.

    def search(self, words: str) -> list[Entry]:
        """The entries in whose name, answers or contexts all these words stand, whatever their case."""
        wanted = words.lower().split()
        return [one for one in self if all(word in _text(one) for word in wanted)]

    def serving(self, address: str) -> list[tuple[Entry, float]]:
        """The entries whose circuits hold a unit, and its share of the sum of their |scores|, the largest first."""
        found = [(one, share) for one in self if (share := _shares(one).get(address))]
        return sorted(found, key=lambda found: -found[1])

    @cached_property
    def features(self) -> list[tuple[str, int]]:
        """The units of its circuits and how many entries each serves, those that serve most first; errors are none."""
        counts = dict[str, int]()
        for one in self:
            for address in _shares(one):
                if not address.endswith("/error"):
                    counts[address] = counts.get(address, 0) + 1
        return sorted(counts.items(), key=lambda found: (-found[1], found[0]))

    def circuit(self, id: int) -> Circuit:
        """The whole circuit of an entry. Raises: ValueError for one that has none, or an atlas without its folder."""
        if self[id].circuit is None:
            raise ValueError(f"behaviour {id} has no circuit: it has too few members, or was set aside")
        path = None if self.folder is None else self.folder / CIRCUITS / f"{id}.json"
        if path is None or not path.is_file():
            raise ValueError(
                f"the circuit of behaviour {id} is not here; an atlas that was packed keeps the nodes alone"
            )
        return Circuit.load(path)

    # What it says as a whole.

    def report(self, seed: int = 0) -> Report:
        """Faithfulness and completeness over all circuits beside random ones, and the share of clusters that are not trivial.

        Intervals are over entries; those that are joined with another count once.
        """
        own = [one for one in self if one.same_as is None]
        kinds = dict.fromkeys((row.measure, row.of) for one in own if one.circuit for row in one.circuit.rows)
        rows = [
            self._row(own, measure, of, seed) for measure, of in kinds if measure in ("faithfulness", "completeness")
        ]
        other = np.array([not one.trivial for one in own], float)
        rows.append(_mean(other, "not trivial", "", None, seed))
        joined = len(self) - len(own)
        notes = (
            f"{many(len(self), 'cluster')}, {joined} of them joined with another whose circuit is nearly the same",
            "medians over circuits of shares on members that they were not found on, with bootstrap intervals of the medians",
        )
        return Report(f"atlas of {self.model}", tuple(rows), notes)

    def _row(self, own: Sequence[Entry], measure: str, of: str, seed: int) -> Row:
        rows = [row for one in own if one.circuit for row in one.circuit.rows if (row.measure, row.of) == (measure, of)]
        values = np.array([row.value for row in rows if np.isfinite(row.value)])
        return _mean(values, measure, of, rows[0].nodes, seed, median=True)

    # On disk.

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "model": self.model,
            "sources": list(self.sources),
            "provenance": jsonable(self.provenance),
            "counts": dict(self.counts),
            "stability": [[k, value] for k, value in self.stability.items()],
            "entries": [one.to_json() for one in self.entries],
            "units": dict(self.units),
            "aside": list(self.aside),
        }

    def save(self, folder: str | Path) -> Path:
        """Write `atlas.json` into a folder."""
        return write_json(Path(folder) / FILE, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Atlas:
        """An atlas of a folder, or of its file. Raises: ValueError naming the file and what is wrong with it."""
        path = Path(path)
        path = path / FILE if path.is_dir() else path
        with whole(path, "atlas"):
            found = cls.from_json(read_json(path, FORMAT), str(path))
        return replace(found, folder=path.parent)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], origin: str = "this JSON") -> Atlas:
        """Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, NAMES, origin)
        entry(value, "format", str, origin=origin, among=(FORMAT,))
        if (version := entry(value, "version", int, origin=origin)) != VERSION:
            raise ValueError(f"{origin} has atlas schema version {version}; this clew reads {VERSION}")
        counts = entry(value, "counts", dict, origin=origin)
        check_whole(counts, COUNTED, f"{origin}: counts")
        stability = [
            pair(one, f"{origin}: stability", int, float) for one in entries(value, "stability", list, origin=origin)
        ]
        listed = enumerate(entries(value, "entries", dict, origin=origin))
        held = tuple(Entry.from_json(one, f"{origin}: entries[{i}]") for i, one in listed)
        found = cls(
            model=entry(value, "model", str, origin=origin),
            sources=tuple(entries(value, "sources", str, origin=origin)),
            provenance=entry(value, "provenance", dict, origin=origin),
            counts={k: typed(n, f"{origin}: counts.{k}", int, at_least=0) for k, n in counts.items()},
            stability=dict(stability),
            entries=held,
            units=texts_by_name(value, "units", origin=origin),
            aside=tuple(entries(value, "aside", str, origin=origin)),
        )
        _check(found, origin)
        return found


def _check(atlas: Atlas, origin: str) -> None:
    """Raises: ValueError for entries that share a number, or speak of one that is not there."""
    known = {one.id for one in atlas}
    if len(known) < len(atlas):
        raise ValueError(f"{origin}: two entries have one number")
    for one in atlas:
        others = {other for other, _ in one.near} | ({one.same_as} if one.same_as is not None else set())
        if strange := others - known:
            raise ValueError(f"{origin}: entry {one.id} speaks of {min(strange)}, which is not there")
        if wrong := [e.source for e in one.examples if e.source >= len(atlas.sources)]:
            raise ValueError(
                f"{origin}: entry {one.id} has a context of source {wrong[0]}, and there are {len(atlas.sources)}"
            )


def packed(atlas: Atlas, *, shown: Collection[str] | None = None, nodes: int = 30, examples: int = 5) -> Atlas:
    """The same atlas in few bytes: the strongest nodes, some contexts.

    Args: shown: the sources whose contexts may be shown; all by default.
    Raises: ValueError for a source that it has not.
    """
    if odd := sorted(set(shown or ()) - set(atlas.sources)):
        raise ValueError(f"there is no source {odd[0]!r}; there are {', '.join(atlas.sources)}")

    def short(one: Entry) -> Entry:
        seen = [e for e in one.examples if shown is None or atlas.sources[e.source] in shown]
        circuit = one.circuit and replace(one.circuit, nodes=one.circuit.nodes[:nodes])
        return replace(one, examples=tuple(seen[:examples]), circuit=circuit)

    kept = tuple(map(short, atlas.entries))
    used = {address for one in kept if one.circuit for address, _ in one.circuit.nodes}
    return replace(atlas, entries=kept, units={a: said for a, said in atlas.units.items() if a in used})


def _text(one: Entry) -> str:
    words = [one.name, one.usual, *(answer for answer, _ in one.answers), *(e.text for e in one.examples)]
    return "\n".join(words).lower()


def _shares(one: Entry) -> dict[str, float]:
    nodes = one.circuit.nodes if one.circuit else ()
    total = sum(abs(score) for _, score in nodes) or 1.0
    return {address: abs(score) / total for address, score in nodes}


def _mean(values: np.ndarray, measure: str, of: str, nodes: int | None, seed: int, *, median: bool = False) -> Row:
    if not len(values):
        return Row(measure, float("nan"), float("nan"), float("nan"), of, nodes, 0)
    statistic = np.median if median else np.mean
    low, high = bootstrap(lambda i: float(statistic(values[i])), list(range(len(values))), seed=seed)
    return Row(measure, float(statistic(values)), low, high, of, nodes, len(values))
