"""An entry of an atlas: one behaviour, what it is like, and the circuit behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clew.files import check_whole, entries, entry, entry_or, jsonable
from clew.report import Report, Row

NAMES = ("id", "name", "usual", "fit", "like", "answers", "examples", "at", "circuit", "near", "same_as")
OF_CIRCUIT = ("nodes", "scored", "edges", "rows", "checks")
LIKE = ("size", "documents", "silhouette", "entropy", "ngrams", "trivial")
CHECKS = ("beginnings", "words")


@dataclass(frozen=True)
class Example:
    """A member of the cluster, to be read."""

    text: str
    """The context; empty where its source is not shown."""
    answer: str
    source: int
    """Which source of the atlas it is from."""


@dataclass(frozen=True)
class Check:
    """What became of the answers in checker prompts of one rule."""

    n: int
    kept: float | None
    """The share of answers that still were the likeliest token; None where the rule fits no context."""
    drop: float | None
    """By how much their mean log-probability fell, in nats."""


@dataclass(frozen=True)
class Found:
    """The circuit of a cluster in short; `Atlas.circuit` has all of it."""

    nodes: tuple[tuple[str, float], ...]
    """Addresses and scores, the strongest first."""
    scored: int
    """How many nodes had an effect."""
    edges: int
    rows: tuple[Row, ...]
    """Faithfulness and completeness on members that it was not found on; `of` says by which ablation, and whether of a random
    circuit."""
    checks: Mapping[str, Check]

    def faithfulness(self, of: str = "") -> Row | None:
        """By the first ablation, or what `of` names: "resample", "random, resample"."""
        return next((row for row in self.rows if row.measure == "faithfulness" and of in ("", row.of)), None)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        rows = Report("", self.rows).to_json()["rows"]
        checks = {name: asdict(check) for name, check in self.checks.items()}
        nodes = [list(node) for node in self.nodes]
        return {"nodes": nodes, "scored": self.scored, "edges": self.edges, "rows": rows, "checks": checks}

    @classmethod
    def from_json(cls, value: Any, origin: str) -> Found:
        """Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, OF_CIRCUIT, origin)
        nodes = tuple(pair(one, f"{origin}: nodes", str, float) for one in entries(value, "nodes", list, origin=origin))
        rows = Report.from_json(
            {**Report("", ()).to_json(), "rows": entries(value, "rows", dict, origin=origin)}, origin
        )
        held = entry(value, "checks", dict, origin=origin)
        check_whole(held, CHECKS, f"{origin}: checks")
        checks = {name: _check(held[name], f"{origin}: checks.{name}") for name in CHECKS}
        scored, edges = (entry(value, name, int, origin=origin, at_least=0) for name in ("scored", "edges"))
        return cls(nodes, scored, edges, rows.rows, checks)


@dataclass(frozen=True)
class Entry:
    """One behaviour of an atlas."""

    id: int
    name: str
    """A rule in words; empty where none holds."""
    usual: str
    """The most common last token and answer."""
    fit: tuple[float | None, float | None]
    """Precision and recall of the name in contexts that it was not made from; None where there are none."""
    size: int
    documents: int
    silhouette: float | None
    entropy: float
    ngrams: tuple[float, ...]
    """The share of the most common answer, last token with answer, last two with answer."""
    trivial: bool
    """Whether a table of pairs of tokens would do as well."""
    answers: tuple[tuple[str, int], ...]
    """The most common, and how often they come."""
    examples: tuple[Example, ...]
    at: tuple[float, float]
    """Where it stands on the map."""
    circuit: Found | None = None
    """None where there are too few members, or where it was set aside."""
    near: tuple[tuple[int, float], ...] = ()
    """Entries of like circuits, by the cosine of their scores, the nearest first."""
    same_as: int | None = None
    """The entry that it is joined with: the largest of those whose circuits are nearly one."""

    @property
    def title(self) -> str:
        """What to call it."""
        return self.name or self.usual

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        held = jsonable(asdict(self))
        held["like"] = {name: held.pop(name) for name in LIKE}
        held["circuit"] = None if self.circuit is None else self.circuit.to_json()
        return {name: held[name] for name in NAMES}

    @classmethod
    def from_json(cls, value: Any, origin: str = "this JSON") -> Entry:
        """Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, NAMES, origin)
        like, place = entry(value, "like", dict, origin=origin), f"{origin}: like"
        check_whole(like, LIKE, place)
        circuit = entry_or(value, "circuit", dict, None, origin=origin)
        examples = enumerate(entries(value, "examples", dict, origin=origin))
        fit = entry(value, "fit", list, origin=origin)
        return cls(
            id=entry(value, "id", int, origin=origin, at_least=0),
            name=entry(value, "name", str, origin=origin),
            usual=entry(value, "usual", str, origin=origin),
            fit=pair([*fit], f"{origin}: fit", float, float, optional=True),
            size=entry(like, "size", int, origin=place, at_least=1),
            documents=entry(like, "documents", int, origin=place, at_least=1),
            silhouette=entry_or(like, "silhouette", float, None, origin=place, at_least=-1, at_most=1),
            entropy=entry(like, "entropy", float, origin=place, at_least=0),
            ngrams=tuple(entries(like, "ngrams", float, origin=place, at_least=0, at_most=1)),
            trivial=entry(like, "trivial", bool, origin=place),
            answers=tuple(
                pair(one, f"{origin}: answers", str, int) for one in entries(value, "answers", list, origin=origin)
            ),
            examples=tuple(_example(one, f"{origin}: examples[{i}]") for i, one in examples),
            at=pair(entry(value, "at", list, origin=origin), f"{origin}: at", float, float),
            circuit=None if circuit is None else Found.from_json(circuit, f"{origin}: circuit"),
            near=tuple(pair(one, f"{origin}: near", int, float) for one in entries(value, "near", list, origin=origin)),
            same_as=entry_or(value, "same_as", int, None, origin=origin, at_least=0),
        )


def pair(value: Any, origin: str, first: type, second: type, *, optional: bool = False) -> tuple[Any, Any]:
    """Two values of these kinds."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{origin} is {value!r:.60}; two values are due there")
    held = {"first": value[0], "second": value[1]}
    read = entry_or if optional else entry
    default: tuple[Any, ...] = (None,) if optional else ()
    one, two = (
        read(held, name, kind, *default, origin=origin) for name, kind in (("first", first), ("second", second))
    )
    return one, two


def _example(value: Any, origin: str) -> Example:
    check_whole(value, ("text", "answer", "source"), origin)
    text, answer = (entry(value, name, str, origin=origin) for name in ("text", "answer"))
    return Example(text, answer, entry(value, "source", int, origin=origin, at_least=0))


def _check(value: Any, origin: str) -> Check:
    check_whole(value, ("n", "kept", "drop"), origin)
    kept = entry_or(value, "kept", float, None, origin=origin, at_least=0, at_most=1)
    return Check(
        entry(value, "n", int, origin=origin, at_least=0), kept, entry_or(value, "drop", float, None, origin=origin)
    )
