"""What the work of a command grows with, and the command with less of it, whose results go elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from clew.apps.cli._groups import Asked

Given = Mapping[str, Any]
"""What a command was given, by its parameters."""
OUTCOMES = ("to", "out", "html")
"""How options are called that say where results go."""


@dataclass(frozen=True)
class Size:
    """What the work of a command grows with."""

    what: str
    whole: int
    """How many there are."""
    first: int
    """How many of them the smallest part has."""
    part: Callable[[int], Given]
    """What the command is given to do the first so many alone."""


def size_of(command: str, given: Given) -> Size:
    """Of a command. Raises: ValueError for one whose work does not grow with anything that can be cut."""
    if command == "atlas":
        return _positions(given)
    if command == "train":
        steps: int = given["steps"]
        return Size("steps", steps, min(steps, max(10, steps // 50)), lambda n: {**given, "steps": n})
    if command == "explain":
        return _units(given)
    if command in ("index", "record"):
        return _tokens(given["tokens"], lambda n: {**given, "tokens": n})
    if command == "verify" and given["text"].text:
        return _tokens(given["text"].tokens, lambda n: _with(given, "text", tokens=n))
    if command in ("find", "bench") or (command == "verify" and given["behaviour"]):
        pairs = _pairs(given, given["asked"])
        return Size("prompt pairs", pairs, min(pairs, 8), lambda n: _with(given, "asked", examples=n))
    raise ValueError(
        f"clew {command} cannot be planned as it stands here: its work does not grow with prompts, tokens, steps or units. "
        "What can be planned are find, verify, bench, index, record, train, explain and atlas"
    )


def elsewhere(given: Given, folder: Path) -> Given:
    """The same with every result written into a folder."""
    return {name: _elsewhere(name, value, folder) for name, value in given.items()}


def _elsewhere(name: str, value: Any, folder: Path) -> Any:
    if name in OUTCOMES and isinstance(value, Path):
        return folder / (value.name or name)
    if name == "index" and isinstance(value, Path):
        return _beside(value, folder / name)
    if is_dataclass(value) and not isinstance(value, type):
        inner = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        moved = {n: _elsewhere(n, v, folder) for n, v in inner.items() if n in OUTCOMES}
        return replace(value, **moved) if moved else value
    return value


def _beside(index: Path, folder: Path) -> Path:
    """An index that is the same but for its labels, of which it has none, so that a trial neither finds nor leaves any."""
    from clew.readings.index.labels import NAME

    folder.mkdir(parents=True)
    for path in index.iterdir():
        if not path.name.startswith(NAME):
            (folder / path.name).symlink_to(path.resolve())
    return folder


def _with(given: Given, group: str, **changed: Any) -> Given:
    return {**given, group: replace(given[group], **changed)}


def _pairs(given: Given, asked: Asked) -> int:
    """How many prompt pairs there are, of at most as many as are asked for."""
    if "behaviour" not in given:  # bench asks each of its behaviours for so many
        return int(asked.examples or 0)
    import clew

    return len(clew.Behaviour.load(given["behaviour"], **asked.loaded()))


def _tokens(asked: int | None, part: Callable[[int], Given]) -> Size:
    """So many tokens of a text as are asked for; where it has fewer, the job will be shorter than is foretold."""
    asked = _told(asked, "tokens")
    return Size("tokens", asked, min(asked, max(4096, asked // 64)), part)


def _told(asked: int | None, what: str) -> int:
    if asked is None:
        raise ValueError(
            f"say how much of the text is read, by --{what}; without it no part can be told from the whole"
        )
    return asked


def _units(given: Given) -> Size:
    """Units that are explained; a trial keeps its labels beside the index."""
    import clew
    from clew.apps.cli.explain import wanted_units
    from clew.circuits.circuit import Circuit

    if given["asking"].asks is not None:
        raise ValueError("what a language model is asked is counted before it is asked: run the command, which says so")
    circuit = Circuit.load(given["circuit"]) if given["circuit"] else None
    wanted = wanted_units(clew.Index.load(given["index"]), circuit, given["units"])
    return Size(
        "units", len(wanted), min(len(wanted), 10), lambda n: {**given, "circuit": None, "units": tuple(wanted[:n])}
    )


def _positions(given: Given) -> Size:
    """Positions of a text that an atlas looks at; a part has as many of them in a cluster as the whole has."""
    asked = _told(given["finding"].positions, "positions")

    def part(n: int) -> Given:
        k = tuple(sorted({max(2, ceil(k * n / asked)) for k in given["grouping"].k}))
        return _with(_with(given, "finding", positions=n), "grouping", k=k)

    most = max(given["grouping"].k)
    return Size("positions of the text", asked, min(asked, max(2000, 12 * asked // most)), part)
