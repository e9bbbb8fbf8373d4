"""Labels: what units are said to mean, by whom, and how well that has held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

from clew.files import check_whole, entries, entry, read_json, texts_by_name, typed, write_json
from clew.report import Report, Row
from clew.tables import SHOWN, as_html, frame, more

FORMAT, VERSION = "clew labels", 1
ABOVE = "above "
"""How a score begins that says how far a label is above a floor."""
Kind = Literal["prose", "rule", "effects", "person", "token"]
"""A sentence that was written by a model, a rule that can be run, what a unit does to the next token, a person's words, or
the token that a unit is."""


@dataclass(frozen=True)
class Label:
    """One thing that is said of one unit.

    >>> Label("names of rivers", "person", origin="Ada")
    Label(text='names of rivers', kind='person', scores=(), origin='Ada')
    """

    text: str
    kind: Kind = "prose"
    scores: tuple[Row, ...] = ()
    """How it did in tests, on text that it was not made from."""
    origin: str = ""
    """Who or what made it."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"a label is of kind {', '.join(get_args(Kind))}; {self.kind!r} is none of them")
        if not (self.text if self.kind == "token" else self.text.strip()):
            raise ValueError("a label has no text; say what the unit is about, or leave it without a label")

    def above(self, measure: str) -> Row | None:
        """How far it is above the highest of its floors by a measure; None where it has none, or no number above one.

        >>> scores = Row("r", 0.6, 0.5, 0.7, "all"), Row("r", 0.4, 0.3, 0.5, "above shuffled")
        >>> Label("rivers", "rule", scores).above("r").of
        'above shuffled'
        """
        over = [
            row for row in self.scores if row.measure == measure and row.of.startswith(ABOVE) and isfinite(row.value)
        ]
        return min(over, key=lambda row: row.value, default=None)

    def to_json(self) -> dict[str, Any]:
        """The label as plain JSON."""
        scores = Report("", self.scores).to_json()["rows"]
        return {"text": self.text, "kind": self.kind, "scores": scores, "origin": self.origin}

    @classmethod
    def from_json(cls, value: Any, origin: str = "this JSON") -> Label:
        """Build from what `to_json` gave. Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, ("text", "kind", "scores", "origin"), origin)
        kind = entry(value, "kind", str, origin=origin, among=get_args(Kind))
        rows = {**Report("", ()).to_json(), "rows": entries(value, "scores", dict, origin=origin)}
        scores = Report.from_json(rows, f"{origin}: scores").rows
        text, who = (entry(value, name, str, origin=origin) for name in ("text", "origin"))
        try:
            return cls(text, kind, scores, who)
        except ValueError as error:
            raise ValueError(f"{origin} holds no label: {error}") from error


Said = str | Label | Sequence[Label]
"""One or several things that are said of a unit; a bare text is a person's words."""


@dataclass(frozen=True, repr=False)
class Labels(Mapping[str, tuple[Label, ...]]):
    """What is said of units, by their address as in `resid.3/17`."""

    units: Mapping[str, tuple[Label, ...]] = field(default_factory=dict[str, tuple[Label, ...]])
    dictionaries: Mapping[str, str] = field(default_factory=dict[str, str])
    """By site the fingerprint of the dictionary whose units they are, where it is known."""

    def __getitem__(self, address: str) -> tuple[Label, ...]:
        if address not in self.units:
            some = f", such as {next(iter(self.units))!r}" if self.units else ""
            raise KeyError(f"nothing is said of {address!r}; of {len(self.units)} units something is{some}")
        return self.units[address]

    def __repr__(self) -> str:
        sites = sorted({address.rpartition("/")[0] for address in self.units})
        return f"Labels(of {len(self.units)} units at {', '.join(sites) or 'no site'})"

    def _repr_html_(self) -> str:
        """The first units as a table for a notebook: what is said of each, by whom, and how that was tested."""
        first = [(address, label) for address in islice(self, SHOWN) for label in self[address]]
        rows = [[address, label.text, label.origin or label.kind, _tests(label)] for address, label in first]
        head = ["unit", "label", "said by", "tested"] if rows else []
        return as_html(repr(self), head, rows, more(len(self), "units"))

    def to_frame(self) -> Any:
        """A row for each label as a pandas DataFrame: its unit, text, kind and origin, and a column for each of its scores.

        A score's column is called as in `simulation r, above shuffled`; the intervals are in `labels[address][0].scores`.

        Raises: ImportError without pandas.
        """
        said = [(address, label) for address, labels in self.items() for label in labels]
        names = dict.fromkeys(_score(row) for _, label in said for row in label.scores)
        rows = [
            {"address": address, "text": label.text, "kind": label.kind, "origin": label.origin}
            | {_score(row): row.value for row in label.scores}
            for address, label in said
        ]
        return frame(rows, ["address", "text", "kind", "origin", *names])

    def __iter__(self) -> Iterator[str]:
        return iter(self.units)

    def __len__(self) -> int:
        return len(self.units)

    @classmethod
    def of(cls, given: Mapping[str, Said]) -> Labels:
        """What is said, as labels: a bare text is a person's words.

        >>> Labels.of({"resid.3/17": "names of rivers"}).name("resid.3/17")
        'names of rivers'
        """
        return cls({address: _made(said) for address, said in given.items()})

    def name(self, address: str) -> str:
        """The text of the first label of a unit; empty where nothing is said of it."""
        return next((label.text for label in self.units.get(address, ())), "")

    def about(self, addresses: Iterable[str]) -> Labels:
        """Those of these units alone."""
        kept = {address: self.units[address] for address in addresses if self.units.get(address)}
        sites = {address.rpartition("/")[0] for address in kept}
        return Labels(kept, {site: made for site, made in self.dictionaries.items() if site in sites})

    def __or__(self, other: Labels) -> Labels:
        """What either says; of a unit of both, what the other says comes first.

        Raises: ValueError where they are of different dictionaries at a site.
        """
        for site, made in other.dictionaries.items():
            if (mine := self.dictionaries.get(site, made)) != made:
                raise ValueError(
                    f"these labels are of the dictionary {mine} at {site}, and the others of {made}; units of another "
                    "dictionary mean something else, so keep them apart, or leave out one with `about`"
                )
        both = {unit: tuple(dict.fromkeys((*other.units.get(unit, ()), *said))) for unit, said in self.units.items()}
        return Labels({**other.units, **both}, {**self.dictionaries, **other.dictionaries})

    def best_first(self) -> Labels:
        """Of each unit a person's words first, then what was tested by more floors, then on more text; each text once."""

        def once(said: tuple[Label, ...]) -> tuple[Label, ...]:
            texts = dict[str, Label]()
            for label in sorted(said, key=_tested, reverse=True):
                texts.setdefault(label.text, label)
            return tuple(texts.values())

        return Labels({unit: once(said) for unit, said in self.units.items()}, self.dictionaries)

    def save(self, path: str | Path) -> Path:
        """Write one JSON file, packed where its name ends in .gz, of which `Labels.load` gives back the same."""
        return write_json(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Labels:
        """Read what `save` wrote. Raises: ValueError naming the file and what is wrong with it."""
        return cls.from_json(read_json(path, FORMAT), str(path))

    def to_json(self) -> dict[str, Any]:
        """The labels as plain JSON, with the version of its schema."""
        units = {address: [label.to_json() for label in labels] for address, labels in self.units.items()}
        return {"format": FORMAT, "version": VERSION, "dictionaries": dict(self.dictionaries), "units": units}

    @classmethod
    def from_json(cls, value: Any, origin: str = "this JSON") -> Labels:
        """Build from what `to_json` gave. Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, ("format", "version", "dictionaries", "units"), origin)
        entry(value, "format", str, origin=origin, among=(FORMAT,))
        entry(value, "version", int, origin=origin, among=(VERSION,))
        found = cls.from_units(entry(value, "units", dict, origin=origin), f"{origin}: units")
        return cls(found.units, texts_by_name(value, "dictionaries", origin=origin))

    @classmethod
    def from_units(cls, units: Mapping[str, Any], place: str) -> Labels:
        """Build from what `to_json()["units"]` gave, as other files hold it."""
        return cls({address: _labels(held, f"{place}[{address!r}]") for address, held in units.items()})


def _tested(label: Label) -> tuple[bool, int, int]:
    floors = {row.of for row in label.scores if row.of.startswith(ABOVE)}
    return label.kind == "person", len(floors), max((row.examples for row in label.scores), default=0)


def _score(row: Row) -> str:
    """What a score is of."""
    return f"{row.measure}, {row.of}" if row.of else row.measure


def _tests(label: Label) -> str:
    """How far a label is above the highest floor of its last test, or what that says where it has no floor."""
    last = [row for row in label.scores if row.measure == label.scores[-1].measure and isfinite(row.value)]
    row = label.above(last[-1].measure) if last else None
    row = row or min(last, key=lambda row: row.value, default=None)
    return "" if row is None else f"{_score(row)}: {row.said('.2f')}"


def _made(said: Said) -> tuple[Label, ...]:
    if isinstance(said, str):
        return (Label(said, "person"),)
    return (said,) if isinstance(said, Label) else tuple(said)


def _labels(held: Any, place: str) -> tuple[Label, ...]:
    return tuple(Label.from_json(one, f"{place}[{i}]") for i, one in enumerate(typed(held, place, list)))
