"""Verdicts: which units a person, or a rule, wants kept and which dropped, and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from clew.circuits.circuit import ERROR, Circuit
from clew.files import check_whole, entries, entry, read_json, texts_by_name, write_json
from clew.near import near
from clew.sites import Site
from clew.tables import frame

FORMAT, VERSION = "clew judgement", 1


@dataclass(frozen=True)
class Verdict:
    """What was decided of one unit."""

    verdict: str
    """keep or drop."""
    reason: str = ""
    judge: str = ""
    """Who decided: a name, or a rule in words."""
    date: str = ""
    """When, as 2026-01-31."""

    def __post_init__(self) -> None:
        if self.verdict not in ("keep", "drop"):
            raise ValueError(f"a unit is kept or dropped; {self.verdict!r} is neither")


@dataclass(frozen=True)
class Verdicts:
    """Units by address, each with its ruling or None while it is still open. Never changed in place.

    >>> judged = Verdicts.of(circuit).drop("resid.2/17", "fires on the singular", judge="Ada")
    >>> print(judged)
    1 dropped, 0 kept, 1 open
    >>> stack = clew.edit(view, circuit, by="shift", verdicts=judged)
    """

    units: Mapping[str, Verdict | None] = field(default_factory=dict[str, Verdict | None])
    dictionaries: Mapping[str, str] = field(default_factory=dict[str, str])
    """Fingerprints of the dictionaries that the units are of, by site; empty where they are not known."""

    def __post_init__(self) -> None:
        for address in self.units:
            _check(address)

    @classmethod
    def of(cls, circuit: Circuit) -> Verdicts:
        """All units of a circuit, in its order, none of them judged. Error nodes are no units and are left out."""
        units = dict.fromkeys(_address(node.address) for node in circuit if node.unit != ERROR)
        return cls(units, dict(circuit.provenance.get("dictionaries", {})))

    def __len__(self) -> int:
        return len(self.units)

    def __iter__(self) -> Iterator[str]:
        return iter(self.units)

    def __getitem__(self, address: str) -> Verdict | None:
        """What was decided of a unit; None if nothing yet. Raises: ValueError for one that is not to be judged."""
        return self.units[self._known(address)]

    @property
    def open(self) -> tuple[str, ...]:
        """The units that nothing was decided of."""
        return tuple(address for address, ruling in self.units.items() if ruling is None)

    def drop(self, address: str, reason: str = "", *, judge: str = "", day: str | None = None) -> Verdicts:
        """The same with this unit to be dropped. Raises: ValueError naming near units, as `keep` does."""
        return self._ruled(address, Verdict("drop", reason, judge, day or date.today().isoformat()))

    def keep(self, address: str, reason: str = "", *, judge: str = "", day: str | None = None) -> Verdicts:
        """The same with this unit to be kept."""
        return self._ruled(address, Verdict("keep", reason, judge, day or date.today().isoformat()))

    def reopened(self, address: str) -> Verdicts:
        """The same with nothing decided of this unit."""
        return self._ruled(address, None)

    def by_words(self, circuit: Circuit, words: Collection[str], *, share: float = 0.5, judge: str = "") -> Verdicts:
        """Every open unit ruled by the tokens on which it fires most: dropped if at least `share` are among `words`.

        The rule reads `details["top_tokens"]`, which is what a person sees of a unit, and no label of any text.
        Case and the space before a word do not count; a unit that fires on nothing is kept.

        Raises: ValueError if the circuit holds no top tokens; `clew.explain.top_tokens` adds them.
        """
        if "top_tokens" not in circuit.details:
            raise ValueError(
                "the circuit says nothing of the tokens its units fire on; clew.explain.top_tokens adds it"
            )
        wanted, judged = {word.strip().lower() for word in words}, self
        judge = judge or f"rule: {share:.0%} of the top tokens are on a list of {len(wanted)} words"
        for address in self.open:
            tokens = [token.strip().lower() for token in circuit.details["top_tokens"].get(address, [])]
            hits = [token for token in tokens if token in wanted]
            rule = judged.drop if tokens and len(hits) >= share * len(tokens) else judged.keep
            judged = rule(address, f"{len(hits)} of {len(tokens)}: {', '.join(tokens)}", judge=judge)
        return judged

    def __or__(self, other: Verdicts) -> Verdicts:
        """Both; where both ruled on a unit the later date holds, on the same day the other's.

        Raises: ValueError where the two are of different dictionaries at one site.
        """
        self._same_dictionaries(other.dictionaries)
        units = dict(self.units)
        for address, ruling in other.units.items():
            mine = units.get(address)
            units[address] = ruling if mine is None or (ruling is not None and ruling.date >= mine.date) else mine
        return Verdicts(units, {**self.dictionaries, **other.dictionaries})

    def dropped(self, circuit: Circuit) -> Circuit:
        """The nodes of a circuit whose units are to be dropped, at every position they stand at.

        Raises: ValueError where the verdicts and the circuit are of different dictionaries at one site.
        """
        self._same_dictionaries(circuit.provenance.get("dictionaries", {}))
        out = {address for address, ruling in self.units.items() if ruling and ruling.verdict == "drop"}
        return circuit.keep(np.array([_address(node.address) in out for node in circuit], bool))

    def __str__(self) -> str:
        ruled = [r.verdict for r in self.units.values() if r]
        return f"{ruled.count('drop')} dropped, {ruled.count('keep')} kept, {len(self.open)} open"

    def to_frame(self) -> Any:
        """A row for each unit as a pandas DataFrame, of one that is open only its address. Raises: ImportError without it."""
        rows = [{"address": address, **(asdict(ruling) if ruling else {})} for address, ruling in self.units.items()]
        return frame(rows, ["address", *(f.name for f in fields(Verdict))])

    # On disk.

    def save(self, path: str | Path) -> Path:
        """Write one JSON file."""
        return write_json(path, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The verdicts as plain JSON, with the version of its schema."""
        units = [{"address": a, **({} if r is None else asdict(r))} for a, r in self.units.items()]
        return {"format": FORMAT, "version": VERSION, "dictionaries": dict(self.dictionaries), "units": units}

    @classmethod
    def load(cls, path: str | Path) -> Verdicts:
        """Read what `save` wrote, or what the page of `clew judge` saved.

        Raises: ValueError naming the file and what is wrong with it.
        """
        value = read_json(path, FORMAT)
        if entry(value, "version", int, origin=str(path)) != VERSION:
            raise ValueError(f"{path} has verdicts schema version {value['version']}; this clew reads {VERSION}")
        check_whole(value, ("format", "version", "dictionaries", "units"), str(path))
        units: dict[str, Verdict | None] = {}
        for i, unit in enumerate(entries(value, "units", dict, origin=str(path))):
            origin = f"{path}: units[{i}]"
            address = entry(unit, "address", str, origin=origin)
            if address in units:
                raise ValueError(f"{origin} rules on {address} a second time")
            units[address] = _ruling({key: told for key, told in unit.items() if key != "address"}, origin)
        try:
            return cls(units, texts_by_name(value, "dictionaries", origin=str(path)))
        except ValueError as error:
            raise ValueError(f"{path} is not a whole verdicts: {error}") from error

    def _ruled(self, address: str, ruling: Verdict | None) -> Verdicts:
        return replace(self, units={**self.units, self._known(address): ruling})

    def _known(self, address: str) -> str:
        _check(address)
        if address not in self.units:
            raise ValueError(f"{address} is not among the {len(self)} units to judge; {near(address, self.units)}")
        return address

    def _same_dictionaries(self, others: Mapping[str, str]) -> None:
        if odd := [s for s in self.dictionaries if s in others and others[s] != self.dictionaries[s]]:
            raise ValueError(
                f"the units at {', '.join(odd)} were judged in another dictionary than this one; "
                "unit 17 of one is not unit 17 of the other, so judge them anew"
            )


def _ruling(given: Mapping[str, Any], origin: str) -> Verdict | None:
    """What a file says of one unit, None where it says nothing."""
    if not given:
        return None
    entry(given, "verdict", str, origin=origin, among=("keep", "drop"))
    check_whole(given, [f.name for f in fields(Verdict)], origin)
    return Verdict(**{name: entry(given, name, str, origin=origin) for name in given})


def _address(address: str) -> str:
    return address.partition("@")[0]


def _check(address: str) -> None:
    """Raises: ValueError unless it is a unit's address, without a position."""
    site, slash, unit = address.partition("/")
    if not slash or not re.fullmatch(r"\d+", unit):
        raise ValueError(
            f"{address!r} is no unit: one reads 'resid.3/17', without a position; what a dictionary leaves "
            "unexplained (its error) and whole sites cannot be judged"
        )
    Site.parse(site)
