"""group: supernodes of a circuit, and whether the members of each act as one."""

from __future__ import annotations

from typing import Any

from clew.apps._desk.asked import RunAsked
from clew.apps._desk.plans.plan import MODEL, TASK, Work, line
from clew.apps._desk.runs import Plan, Teller

ARGS = {
    **MODEL,
    **TASK,
    "circuit": "the path of a circuit with edges",
    "similar": "how alike two members are at least, from 0 to 1",
    "span": "members lie within so many layers",
    "meaning": "the weight of common tokens",
    "together": "a unit is one whatever its position",
    "tolerance": "how far a group's joint effect may be from the prediction",
}
ALIKE = {"similar": float, "span": int, "meaning": float, "together": bool}


def plan(work: Work) -> tuple[RunAsked, Plan]:
    """Group a circuit; with a model and a behaviour each group is tried."""
    circuit, tried = work.needed("circuit"), bool(work.one("model", str))
    work.folder.file(circuit)
    asked, on = (work.view_asked, work.check_task()) if tried else (None, "")
    alike = {name: work.one(name, kind) for name, kind in ALIKE.items() if work.asked.args.get(name) is not None}
    tolerance = work.one("tolerance", float, 0.2, at_least=0.0)
    work, result = work.named(f"{circuit.rpartition('/')[2].removesuffix('.json')}.grouped", ".json")
    command = line(
        ["group", circuit],
        [asked.model, on, *work.typed_view(asked), *work.typed_task(), f"--tolerance={tolerance}"] if asked else [],
        [f"--{name}" if value is True else f"--{name}={value}" for name, value in alike.items() if value is not False],
        ["--to", result],
    )

    def run(tell: Teller) -> str:
        from clew.apps._desk.circuits import circuit_of
        from clew.circuits.grouping import grouped

        tell.part("grouping", 0.0, 0.1)
        found = grouped(circuit_of(work.folder, circuit), **alike)
        found.save(work.path(result))
        if asked is not None and found.supernodes:
            _tried(work, found, asked, tell, tolerance).save(work.path(result))
        return result

    return work.asked, Plan(f"groups of {circuit}", command, False, run, work.gate)


def _tried(work: Work, found: Any, asked: Any, tell: Teller, tolerance: float) -> Any:
    import clew
    from clew.measures.circuits.supernodes import accepted

    view = work.view(asked, tell, 0.2)
    task = work.task(view)
    tell.part("trying the groups", 0.2, 1.0)
    report = clew.verify(view.model, task, found, by="supernodes", tolerance=tolerance, progress=tell)
    return accepted(found, report)
