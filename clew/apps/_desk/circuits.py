"""A circuit of the folder: shown, named and grouped by a person, compared with another, written for other tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clew.apps._beside import first_of
from clew.apps._bundle import bundle
from clew.apps._compared import compared as together
from clew.apps._desk.answers import CircuitsCompared, CircuitShown, Example, Grouping, Said, Saved, Sided, Sides
from clew.apps._desk.asked import CircuitAsked, GroupsAsked, VerdictAsked
from clew.apps._desk.folder import Folder, tag_of
from clew.apps._desk.items import readable
from clew.circuits.circuit import Circuit
from clew.circuits.grouping import grouped
from clew.circuits.supernode import Supernode
from clew.circuits.verdicts import Verdicts
from clew.files import read_json
from clew.labels import Label, Labels
from clew.report import Report

SUFFIX = ".verdicts.json"
"""How the file ends in which a person's verdicts lie, beside the circuit."""
FORMATS = {"attribution_graph": ".json", "graphml": ".graphml", "json": ".json", "subgraph": ".json"}
"""What a circuit is exported as."""


def circuit_of(folder: Folder, name: str) -> Circuit:
    """A circuit by its path. Raises: ValueError naming what is wrong with the file as it is called in the folder."""
    path = folder.file(name)
    try:
        return Circuit.load(path)
    except ValueError as error:
        raise ValueError(readable(error, path, name)) from error


def shown(folder: Folder, name: str) -> CircuitShown:
    """What the front end draws of a circuit."""
    path = folder.file(name)
    tag, circuit = tag_of(path), circuit_of(folder, name)
    try:
        report = first_of(circuit, filter(folder.holds, _reports(path)))
    except ValueError:  # the list of items says what is wrong with it
        report = None
    verdicts = _verdicts_beside(folder, path)
    held = _as_values(bundle(circuit, report))
    held["verdicts"] = None if verdicts is None else verdicts.to_json()
    return CircuitShown(**held, path=name, tag=tag)


def beside(path: Path) -> list[Path]:
    """The files of which what is shown of a circuit is made."""
    return [path, *_reports(path), path.with_name(path.stem + SUFFIX)]


def _reports(path: Path) -> list[Path]:
    """Where a report on a circuit may lie: `report.json`, and what runs save as NAME.MEASURE.report.json, a curve first."""
    others = path.parent.glob(f"{escape(path.stem)}.*.report.json")
    return [path.with_name("report.json"), *sorted(others, key=lambda one: (".curve." not in one.name, one.name))]


def _as_values(held: Mapping[str, Any]) -> dict[str, Any]:
    """A bundle, whose parts are values of their own."""
    prompts = [Example(**one) for one in held["prompts"]]
    said = {address: [Said(**one) for one in of_unit] for address, of_unit in held["said"].items()}
    return {**held, "prompts": prompts, "said": said}


def _verdicts_beside(folder: Folder, path: Path) -> Verdicts | None:
    beside = folder.beside(path, path.stem + SUFFIX)
    return None if beside is None else Verdicts.load(beside)


def changed(folder: Folder, name: str, asked: CircuitAsked) -> Saved:
    """Save what a person says of a circuit. Raises: Changed where the file is another by now; ValueError for addresses that
    it does not have, names given twice, or a file that is another tool's."""
    path = folder.file(name)
    with folder.writing:
        folder.check_tag(name, asked.tag)
        try:
            read_json(path, "clew circuit")
        except ValueError as error:
            raise ValueError(
                f"{name} is another tool's file and stays as it is; `clew group {name}` saves a copy"
            ) from error
        before = circuit = circuit_of(folder, name)
        if asked.labels is not None:
            circuit = _named(circuit, asked.labels)
        if asked.supernodes is not None:
            circuit = circuit.with_supernodes(_supernode(circuit, one.name, one.members) for one in asked.supernodes)
        if asked.verdicts is not None:
            _judged(folder, path, circuit, asked.verdicts)
        if circuit is before:
            return Saved(name, asked.tag)
        return Saved(name, folder.write(name, json.dumps(circuit.to_json(), allow_nan=False)))


def _named(circuit: Circuit, names: Mapping[str, str]) -> Circuit:
    """The circuit with a person's names before what else is said; an empty one is taken off."""
    given = {address: text.strip() for address, text in names.items()}
    circuit.labelled({address: text or "-" for address, text in given.items()})  # only to know that they are there
    kept = {
        unit: tuple(one for one in held if unit not in given or one.kind != "person")
        for unit, held in circuit.labels.items()
    }
    said = {unit: (Label(text, "person"), *kept.get(unit, ())) for unit, text in given.items() if text}
    units = {unit: held for unit, held in {**kept, **said}.items() if held}
    return replace(circuit, labels=Labels(units, circuit.labels.dictionaries))


def _supernode(circuit: Circuit, name: str, members: list[str]) -> Supernode:
    """A group; one that is as it was keeps what is known of it."""
    same = (one for one in circuit.supernodes if one.members == tuple(members))
    known = next(same, None)
    return Supernode(name, tuple(members)) if known is None else replace(known, name=name)


def _judged(folder: Folder, path: Path, circuit: Circuit, given: Mapping[str, VerdictAsked]) -> None:
    verdicts = Verdicts.of(circuit) | (_verdicts_beside(folder, path) or Verdicts())
    for address, one in given.items():
        if one.verdict == "open":
            verdicts = verdicts.reopened(address)
        else:
            rule = verdicts.keep if one.verdict == "keep" else verdicts.drop
            verdicts = rule(address, one.reason, judge=one.judge)
    verdicts.save(path.with_name(path.stem + SUFFIX))


def groups(folder: Folder, asked: GroupsAsked) -> Grouping:
    """Supernodes of units that read and write alike; nothing is saved."""
    how = {name: value for name, value in asdict(asked).items() if name != "path"}
    found = grouped(circuit_of(folder, asked.path), **how)
    grouped_nodes = sum(len(one.members) for one in found.supernodes)
    return Grouping([asdict(one) for one in found.supernodes], len(found) - grouped_nodes)


def compared(folder: Folder, a: str, b: str) -> CircuitsCompared:
    """Two circuits as one, of many nodes the strongest. Raises: ValueError for two whose units have nothing in common."""
    from clew.measures.circuits.reuse import comparable

    held = _as_values(together(*comparable(circuit_of(folder, a), circuit_of(folder, b)), (a, b)))
    sides = held.pop("sides")
    nodes, edges = ([Sided(**one) for one in sides[name]] for name in ("nodes", "edges"))
    return CircuitsCompared(**held, sides=Sides(sides["names"], nodes, edges, sides["said"]))


def exported(folder: Folder, name: str, format: str) -> tuple[bytes, str]:
    """A circuit for another tool, and how the file is called. Raises: ValueError for a format that is none."""
    if format not in FORMATS:
        raise ValueError(f"{format!r:.40} is no format; a circuit is exported as {', '.join(FORMATS)}")
    circuit = circuit_of(folder, name)
    with TemporaryDirectory() as place:
        path = Path(place) / f"{Path(name).stem}{FORMATS[format]}"
        _written(format)(circuit, path)
        return path.read_bytes(), f"{Path(name).stem}.{format}{FORMATS[format]}" if format != "json" else path.name


def _written(format: str) -> Callable[[Circuit, Path], object]:
    if format == "subgraph":
        from clew.circuits.formats.subgraph import write

        return write
    return lambda circuit, path: circuit.save(path, format="clew" if format == "json" else format)


def report_of(folder: Folder, name: str) -> list[Report]:
    """The report of a file, or the reports by dictionary that `clew verify --dictionary --out` saves."""
    from clew.files import read_any_json

    path = folder.file(name)
    try:
        value = read_any_json(path)
        held = {"": value} if isinstance(value, dict) and "format" in value else value
        if not isinstance(held, dict) or not held:
            raise ValueError(f"{name} holds no report; `clew verify --out` saves one")
        found = [(which, Report.from_json(one, str(path))) for which, one in held.items()]
    except ValueError as error:
        raise ValueError(readable(error, path, name)) from error
    return [replace(report, title=f"{which}: {report.title}" if which else report.title) for which, report in found]
