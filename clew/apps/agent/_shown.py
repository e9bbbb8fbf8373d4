"""What lies in the folder as an agent reads it: the strongest nodes, the rows, the edits, each number with its floor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from clew.apps._desk import reports
from clew.apps._desk.circuits import circuit_of
from clew.apps._desk.desk import Desk
from clew.apps._desk.folder import tag_of
from clew.apps._desk.refusals import NotHere
from clew.apps.agent import _floors
from clew.apps.agent._answers import EdgeTold, Grounds, NodeTold, Number, Shown
from clew.circuits.circuit import OUTPUT, Circuit
from clew.files import jsonable
from clew.labels import Label
from clew.tables import many

SHOWN = 30
"""Nodes, edges or names that are told."""
HALVES = {
    "train": "train: what it was found on",
    "test": "test: held out from what was found",
    "all": "all: nothing was held out",
}
NO_SPLIT = "none: no evidence is halved for this"
ROOMS = {"circuit": "circuits", "edit": "edits", "dictionary": "dictionaries"}
"""The room of a report's measure, by what its record holds of the claim."""


def show(desk: Desk, path: str, top: int = SHOWN, command: str = "") -> Shown:
    """A file of the folder. Raises: NotHere for what is none; ValueError for one that cannot be opened or is not shown."""
    item = next((item for item in desk.items.every() if item.path == path), None)
    if item is None:
        desk.folder.file(path)
        raise NotHere(f"{path} is no file that clew knows; GET /api/items lists what is there")
    if item.problem is not None:
        raise ValueError(item.problem)
    command = command or f"clew replicate {path}"
    if item.kind == "circuit":
        return _circuit(desk, path, item.title, top, command)
    if item.kind == "report":
        return _report(desk, path, command)
    if item.kind == "edits":
        return _edits(desk, path, command)
    if item.kind == "labels":
        return _labels(desk, path, top)
    if item.kind == "replication":
        return _replication(desk, path, top, command)
    if item.kind == "atlas":
        return _atlas(desk, path, top)
    shown = "circuits, reports, edits, labels, atlases and what was run again are shown"
    raise ValueError(f"{path} is of the kind {item.kind} ({item.about or item.title}); {shown}")


def _circuit(desk: Desk, path: str, title: str, top: int, command: str) -> Shown:
    circuit = circuit_of(desk.folder, path)
    shown = circuit.shown(top)
    nodes = [NodeTold(n.address, n.label, _tested(circuit, n.address), _finite(n.score)) for n in shown]
    errors = shown.score_error.tolist()
    numbers = [_score(n.address, n.score, error) for n, error in zip(nodes, errors, strict=True)]
    numbers += [number for node in nodes for number in _of_name(circuit, node.address)]
    ends = [node.address for node in circuit] + ["the metric"]  # OUTPUT is the last index
    strongest = circuit.strongest_edges(top) if len(circuit.weight) else circuit
    edges = [EdgeTold(ends[s], ends[t if t != OUTPUT else -1], _finite(w)) for s, t, w in strongest.edges]
    more = f"{len(circuit)} nodes and {len(circuit.weight)} edges; the strongest {len(nodes)} and {len(edges)} are told"
    return Shown(
        grounds=_grounds(desk, path, circuit.provenance, command),
        numbers=numbers,
        notes=[more],
        next=[f"verify {path} with by=controls: how much of the behaviour it carries, beside random circuits"],
        path=path,
        kind="circuit",
        title=title,
        nodes=nodes,
        edges=edges,
        groups={node.name: list(node.members) for node in circuit.supernodes},
        provenance=_brief(circuit.provenance),
    )


def _score(address: str, value: float | None, error: float) -> Number:
    ends = (None, None) if value is None or math.isnan(error) else (value - 1.96 * error, value + 1.96 * error)
    return Number(f"score of {address}", value, *ends, 0, None, _floors.SCORE)


def _tested(circuit: Circuit, address: str) -> str:
    said = circuit.labels.get(address.partition("@")[0], ())
    return "; ".join(f"{row.measure} {row.said('.2f')}" for row in said[0].scores) if said else ""


def _of_name(circuit: Circuit, address: str) -> list[Number]:
    """How well the name of a node was tested; what is a distance from a floor is told as the floor of the rest."""
    unit = address.partition("@")[0]
    said = circuit.labels.get(unit, ())
    numbers = _floors.of_label(unit, said[0].to_json()["scores"]) if said else []
    return [number for number in numbers if _floors.ABOVE not in number.name]


def _replication(desk: Desk, path: str, top: int, command: str) -> Shown:
    """What became of a file that was run again: what does not agree first."""
    from clew.studies.replication.rerun import Rerun

    told = Rerun.load(desk.folder.file(path))
    every = [number for one in told.results for number in one.numbers]
    every.sort(key=lambda number: number.verdict == "same")
    numbers = [
        Number(one.what, _finite(one.now), _finite(one.low), _finite(one.high), 0, None, _was(one))
        for one in every[:top]
    ]
    return Shown(
        grounds=Grounds(tag_of(desk.folder.file(path)), "the file that was run again", NO_SPLIT, command),
        numbers=numbers,
        notes=[note for one in told.results for note in one.notes],
        path=path,
        kind="replication",
        title=told.title,
        lines=[
            str(told),
            *(f"cannot be run again: {why}" for one in told.results for why in one.refused),
        ],
    )


def _atlas(desk: Desk, path: str, top: int) -> Shown:
    """The numbers of all circuits together, and the largest behaviours in words."""
    from clew.studies.atlas.atlas import Atlas

    file = desk.folder.file(path)
    atlas = Atlas.load(file)
    again = f"clew atlas --resume --to {path.rpartition('/')[0] or '.'}"
    text = str(atlas.provenance.get("text", tag_of(file)))
    rows = atlas.report().to_json()["rows"]
    return Shown(
        grounds=Grounds(text, f"text of {', '.join(atlas.sources)}", HALVES["test"], again),
        numbers=_floors.of_rows(rows, "circuits"),
        notes=[
            *atlas.report().notes,
            f"the {len(atlas.entries[:top])} largest of {many(len(atlas), 'behaviour')} are told",
        ],
        path=path,
        kind="atlas",
        title=f"behaviours of {atlas.model}",
        lines=[
            f"{one.id}: {one.title}, {many(one.size, 'context')}{', trivial' * one.trivial}"
            for one in atlas.entries[:top]
        ],
        provenance=_brief(atlas.provenance),
    )


def _was(number: Any) -> str:
    """What stands in the place of a floor of a number that was got again."""
    return f"no floor: it was {number.was} before; {number.verdict}"


def _report(desk: Desk, path: str, command: str) -> Shown:
    report = reports.report(desk.folder, path)
    made = report.provenance.get("parts", [report.provenance])[0]
    room = next((room for name, room in ROOMS.items() if name in made), "")
    return Shown(
        grounds=_grounds(desk, path, report.provenance, command),
        numbers=_floors.of_rows(report.rows, room),
        notes=report.notes,
        path=path,
        kind="report",
        title=report.title,
        provenance=_brief(made),
    )


def _edits(desk: Desk, path: str, command: str) -> Shown:
    edits = reports.edits(desk.folder, path)
    return Shown(
        grounds=_grounds(desk, path, edits.provenance, command),
        next=[
            f"change with edits [{{kind: file, path: {path}}}]: what it does to a prompt and a behaviour",
            f"verify {path}",
        ],
        path=path,
        kind="edits",
        title=edits.name,
        lines=edits.edits,
        provenance=_brief(edits.provenance),
    )


def _labels(desk: Desk, path: str, top: int) -> Shown:
    labels = reports.labels(desk.folder, path)
    said = [(unit, Label.from_json(one, path)) for unit, held in labels.units.items() for one in held[:1]][:top]
    numbers = [n for unit, label in said for n in _floors.of_label(unit, label.to_json()["scores"])]
    return Shown(
        grounds=_grounds(desk, path, {}, f"clew show {path}"),
        numbers=numbers,
        notes=[f"{len(labels.units)} units have a name, of which {len(said)} are told"],
        path=path,
        kind="labels",
        title=path,
        lines=[f"{unit}: {label.text} ({label.kind}, {label.origin})" for unit, label in said],
    )


def _grounds(desk: Desk, path: str, made: Mapping[str, Any], command: str) -> Grounds:
    """What a file rests on, as far as its record says."""
    parts = list(_evidence(made.get("parts", [made])))
    if not parts:
        tag = tag_of(desk.folder.file(path))
        return Grounds(tag, f"the file {path}, whose record names no evidence", NO_SPLIT, command)
    hashes, said, halves = (list(dict.fromkeys(column)) for column in zip(*parts, strict=True))
    return Grounds(" and ".join(hashes), " and ".join(said), " and ".join(halves), command)


def _evidence(records: list[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """(hash, what it is, which half) of each record that says."""
    for made in records:
        if "prompts" in made:
            asked = made["prompts"]
            yield (
                asked["hash"],
                f"{many(asked['pairs'], 'prompt pair')} of {asked['name']}",
                HALVES[asked["part"]],
            )
        elif "evidence_hash" in made:
            yield made["evidence_hash"], str(made["evidence"]), HALVES["all"]
        elif isinstance(made.get("text"), Mapping):
            yield made["text"]["hash"], "windows of text", f"{made['text'].get('half', 'all')} of the documents"
        elif isinstance(made.get("texts"), str):
            yield made["texts"], f"labelled texts {made['labelled']}", HALVES["all"]


def _brief(made: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of how something was made, without what is long."""
    names = (
        "method",
        "options",
        "model",
        "weights",
        "dictionaries",
        "units",
        "edits",
        "dtype",
        "device",
        "seconds",
        "versions",
    )
    return jsonable({name: made[name] for name in names if name in made})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
