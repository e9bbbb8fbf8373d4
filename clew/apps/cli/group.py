"""clew group: nodes of a circuit that do one thing together, under one name, and whether they act as one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clew.apps.cli._groups import Asked, Machine, View, unfolded
from clew.apps.cli._terminal import Flag, Json, aside, following, say, table


@unfolded
@dataclass(frozen=True)
class Alike:
    """Which units make a group."""

    similar: float = 0.5
    """Any two members of a group are at least so alike, from 0 to 1."""
    span: int = 7
    """Members lie within so many layers."""
    meaning: float = 0.25
    """The weight of common tokens, where they are known; 0 looks at edges alone."""
    together: Flag = False
    """A unit is one whatever its position; by default members share a position."""


def group(
    circuit: Path,
    model: str | None = None,
    behaviour: str | None = None,
    /,
    *,
    alike: Alike = Alike(),
    subgraph: Path | None = None,
    tolerance: float = 0.2,
    view: View = View(),
    asked: Asked = Asked(),
    machine: Machine = Machine(),
    to: Path | None = None,
    json: Json = False,
) -> None:
    """Group the units of a circuit by what they read and write; with a model, try whether the members of each act as one.

    Parameters
    ----------
    circuit
        What `clew find` saved with edges (`--by edges`, an attribution graph), or the graph file of another tool.
    model
        The model that it was found in; with its view and a behaviour each group is tried on held-out prompts.
    behaviour
        What the groups are tried on.
    subgraph
        Take the groups from this record of a graph viewer instead of finding them.
    tolerance
        How far a group's joint effect may be from the prediction, as a share of it.
    to
        Where the circuit with its supernodes goes; by default beside the one given, as NAME.grouped.json.
    """
    from clew.circuits.circuit import Circuit
    from clew.circuits.formats.subgraph import with_subgraph
    from clew.circuits.grouping import grouped

    if (model is None) != (behaviour is None):
        raise ValueError("groups are tried in a model on a behaviour: give both after the circuit, or neither")
    given = Circuit.load(circuit)
    found = with_subgraph(given, subgraph) if subgraph else grouped(given, **asdict(alike))
    report: Any = None
    path = found.save(to or circuit.with_suffix(".grouped.json"))
    if model is not None and behaviour is not None and found.supernodes:
        found, report = _tried(view.open(model, machine), asked, behaviour, found, tolerance)
        found.save(path)
    rows = [(node.name, str(len(node.members)), _said(node), ", ".join(node.members[:4])) for node in found.supernodes]
    alone = len(found) - sum(len(node.members) for node in found.supernodes)
    lines = (
        [f"{len(rows)} group{'s' * (len(rows) != 1)}; {alone} of {len(found)} nodes stay alone", table(rows)]
        if rows
        else ["no two units are so alike"]
    )
    lines += ["", str(report)] if report else []
    value = {
        "supernodes": [{"name": n.name, "members": list(n.members), "accepted": n.accepted} for n in found.supernodes],
        "report": report.to_json() if report else None,
        "saved": str(path),
    }
    say("\n".join([*lines, f"saved as {path}"]), value, json)
    if rows and report is None and not json:
        aside(
            f"next: clew group {circuit} MODEL BEHAVIOUR, with the view it was found in, tries them; or clew show {path}"
        )


def _tried(seen: Any, asked: Asked, behaviour: str, circuit: Any, tolerance: float) -> tuple[Any, Any]:
    """The circuit with what came of the tests, and their report."""
    import clew
    from clew.measures.circuits.supernodes import accepted, supernodes

    task = asked.behaviour(behaviour, seen)
    with following("trying the groups", supernodes) as told:
        report = clew.verify(seen, task, circuit, by="supernodes", tolerance=tolerance, **told)
    return accepted(circuit, report), report


def _said(node: Any) -> str:
    if node.accepted is None:
        return "not tried"
    return "accepted" if node.accepted else "not accepted"
