"""What a tool answers: a value, the numbers in it each with its floor, and what the whole rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clew.apps._desk.answers import (
    About,
    AttentionShown,
    Firings,
    Item,
    PromptShown,
    RunShown,
    UnitShown,
)


@dataclass(frozen=True)
class Number:
    """One number and what to hold it against."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    """Its 95 % interval; null where there is none."""
    n: int
    """Examples behind it; 0 where that is not known."""
    floor: float | None
    """What chance gives: a random circuit, unit, rule or edit of the same size. Null where there is none."""
    floor_is: str
    """What the floor is, or why there is none."""


@dataclass(frozen=True)
class Grounds:
    """What an answer rests on."""

    evidence: str
    """The hash of what was asked, or of the file that was read; empty where nothing was."""
    evidence_is: str
    """What that is, in words."""
    split: str
    """Which half of the evidence: train is what something was found on, test what was held out; none where none was used."""
    command: str
    """The command line that gives this answer again."""


@dataclass(frozen=True)
class Told:
    """What every answer holds beside its value."""

    grounds: Grounds
    numbers: list[Number] = field(default_factory=list[Number])
    notes: list[str] = field(default_factory=list[str])
    """What must be known before a number is believed."""
    next: list[str] = field(default_factory=list[str])
    """Tools to call next, and why."""


@dataclass(frozen=True)
class Capabilities(Told):
    """What there is to work with."""

    about: About | None = None
    protocol: list[str] = field(default_factory=list[str])
    """How a claim is made here that holds."""


@dataclass(frozen=True)
class Listed(Told):
    """What the folder holds."""

    items: list[Item] = field(default_factory=list[Item])


@dataclass(frozen=True)
class NodeTold:
    """A node of a circuit."""

    address: str
    name: str
    """What its unit is called; empty where it has no name."""
    tested: str
    """How well the name holds; empty where it was not tested."""
    score: float | None


@dataclass(frozen=True)
class EdgeTold:
    """An edge of a circuit."""

    source: str
    target: str
    weight: float | None


@dataclass(frozen=True)
class Shown(Told):
    """What a file holds, in its kind's own words."""

    path: str = ""
    kind: str = ""
    title: str = ""
    nodes: list[NodeTold] = field(default_factory=list[NodeTold])
    edges: list[EdgeTold] = field(default_factory=list[EdgeTold])
    groups: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Supernodes by name, with their members."""
    lines: list[str] = field(default_factory=list[str])
    """Edits, or labels, each in words."""
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Worked(Told):
    """A run: long work, and what came of it once it is done."""

    run: RunShown | None = None
    done: bool = False
    """Whether it is over; if not, ask `run` again."""
    result: Shown | None = None


@dataclass(frozen=True)
class Runs(Told):
    """All runs, the latest first."""

    runs: list[RunShown] = field(default_factory=list[RunShown])


@dataclass(frozen=True)
class Unit(Told):
    """What is known of a unit."""

    unit: UnitShown | None = None


@dataclass(frozen=True)
class Fires(Told):
    """Where a unit fires in a text."""

    fires: Firings | None = None


@dataclass(frozen=True)
class Prompted(Told):
    """What a model makes of a prompt."""

    prompt: PromptShown | None = None


@dataclass(frozen=True)
class Attended(Told):
    """Where a head looks."""

    attention: AttentionShown | None = None


@dataclass(frozen=True)
class Changed(Told):
    """What a change does, and whether it was saved."""

    before: str = ""
    after: str = ""
    """The continuations."""
    next_before: dict[str, float] = field(default_factory=dict[str, float])
    next_after: dict[str, float] = field(default_factory=dict[str, float])
    """The likeliest next tokens with their probabilities."""
    receipts: list[str] = field(default_factory=list[str])
    """Where the edits were at work."""
    applied: bool = False
    """False for a dry run: nothing was written."""
    saved: str | None = None
    """The path of the file of edits. The model itself is never changed."""


@dataclass(frozen=True)
class Planned(Told):
    """What would be done, where it was not asked to be done."""

    applied: bool = False
    title: str = ""
    path: str | None = None
    """Of the file that it is about."""
    worked: Worked | None = None
    """Of work that was begun."""
