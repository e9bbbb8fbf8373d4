"""edges: how the nodes of a circuit are wired, with what they predict tried in the model."""

from __future__ import annotations

from dataclasses import replace

from clew.apps._desk.asked import RunAsked
from clew.apps._desk.plans import find
from clew.apps._desk.plans.plan import HOW, MODEL, TASK, Work
from clew.apps._desk.runs import Plan

ALSO = {name: find.ARGS[name] for name in ("top", "tried", "names")}
ARGS = {**MODEL, **TASK, **HOW, "circuit": "the path of the circuit", **ALSO}


def plan(work: Work) -> tuple[RunAsked, Plan]:
    """As `clew find --by edges --circuit FILE`, for the behaviour that is given."""
    circuit = work.needed("circuit")
    args = {"by": "edges", **work.asked.args}
    stem = circuit.rpartition("/")[2].partition(".")[0]
    name = work.asked.name or f"{stem}.edges"
    return find.plan(replace(work, asked=replace(work.asked, args=args, name=name)))
