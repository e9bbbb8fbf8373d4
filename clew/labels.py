"""Labels: what units are said to mean, by whom, and how well that has held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from clew.files import check_whole, entries, entry, typed
from clew.report import Report, Row

FORMAT, VERSION = "clew labels", 1
Kind = Literal["prose", "rule", "person"]
"""A sentence that was written by a model, a rule that can be run, or a person's words."""


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
        if not self.text.strip():
            raise ValueError("a label has no text; say what the unit is about, or leave it without a label")

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


@dataclass(frozen=True)
class Labels(Mapping[str, tuple[Label, ...]]):
    """What is said of units, by their address as in `resid.3/17`."""

    units: Mapping[str, tuple[Label, ...]] = field(default_factory=dict[str, tuple[Label, ...]])

    def __getitem__(self, address: str) -> tuple[Label, ...]:
        return self.units[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self.units)

    def __len__(self) -> int:
        return len(self.units)

    def to_json(self) -> dict[str, Any]:
        """The labels as plain JSON, with the version of its schema."""
        units = {address: [label.to_json() for label in labels] for address, labels in self.units.items()}
        return {"format": FORMAT, "version": VERSION, "units": units}

    @classmethod
    def from_json(cls, value: Any, origin: str = "this JSON") -> Labels:
        """Build from what `to_json` gave. Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, ("format", "version", "units"), origin)
        entry(value, "format", str, origin=origin, among=(FORMAT,))
        entry(value, "version", int, origin=origin, among=(VERSION,))
        units, place = entry(value, "units", dict, origin=origin), f"{origin}: units"
        return cls({address: _labels(held, f"{place}[{address!r}]") for address, held in units.items()})


def _labels(held: Any, place: str) -> tuple[Label, ...]:
    return tuple(Label.from_json(one, f"{place}[{i}]") for i, one in enumerate(typed(held, place, list)))
