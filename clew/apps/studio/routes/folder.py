"""What lies in the folder."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from clew.apps._desk import behaviours, change, circuits, reports
from clew.apps._desk.about import about as about_desk
from clew.apps._desk.answers import (
    About,
    AtlasShown,
    CircuitsCompared,
    CircuitShown,
    ComparisonShown,
    EditsShown,
    Grouping,
    Item,
    LabelsShown,
    ReportShown,
    Saved,
)
from clew.apps._desk.asked import BehaviourAsked, CircuitAsked, GroupsAsked
from clew.apps.studio.routes._desk import FILE, REFUSALS, TheDesk, as_json, download, sent, written

router = APIRouter(prefix="/api", responses=REFUSALS)


@router.get("/about", response_model=About)
def about(desk: TheDesk) -> Any:
    """What there is to work with: models, behaviours, methods, measures, what runs take, limits."""
    return written(about_desk(desk))


@router.get("/items", response_model=list[Item])
def items(desk: TheDesk) -> Any:
    """The files of the folder that are ours to open; a malformed one has a `problem`."""
    return written(desk.items.every())


@router.get("/circuit", response_model=CircuitShown)
def circuit(desk: TheDesk, path: str) -> Any:
    """A circuit, of many nodes the strongest."""
    files = circuits.beside(desk.folder.file(path))
    return sent(desk.kept.of(("shown", path), files, lambda: as_json(circuits.shown(desk.folder, path))))


@router.put("/circuit")
def change_circuit(desk: TheDesk, path: str, asked: CircuitAsked) -> Saved:
    """Save names, supernodes or verdicts of a person; 409 where the file is another than the one that was read."""
    return circuits.changed(desk.folder, path, asked)


@router.post("/circuit/groups")
def groups(desk: TheDesk, asked: GroupsAsked) -> Grouping:
    """Supernodes that are found by what units read and write; nothing is saved."""
    return circuits.groups(desk.folder, asked)


@router.get("/circuit/diff", response_model=CircuitsCompared)
def diff(desk: TheDesk, a: str, b: str) -> Any:
    """Two circuits as one."""
    files = [file for name in (a, b) for file in circuits.beside(desk.folder.file(name))]
    return sent(desk.kept.of(("diff", a, b), files, lambda: as_json(circuits.compared(desk.folder, a, b))))


@router.get("/circuit/export", response_class=Response, responses=FILE)
def export(desk: TheDesk, path: str, format: str = "json") -> Response:
    """A circuit for another tool: attribution_graph, graphml, json or subgraph."""
    files = circuits.beside(desk.folder.file(path))
    made = desk.kept.of(("export", path, format), files, lambda: circuits.exported(desk.folder, path, format))
    return download(*made)


@router.get("/report", response_model=ReportShown)
def report(desk: TheDesk, path: str) -> Any:
    """A report, and its table as people read it."""
    return written(reports.report(desk.folder, path))


@router.get("/edits", response_model=EditsShown)
def edits(desk: TheDesk, path: str) -> Any:
    """A file of edits in words."""
    return written(reports.edits(desk.folder, path))


@router.get("/edits/export", response_class=Response, responses=FILE)
def export_edits(desk: TheDesk, path: str, format: str = "safetensors", view: str | None = None) -> Response:
    """Edits as a file; in another tool's format for the model of an open view."""
    return download(*change.exported(desk.folder, path, format, None if view is None else desk.views.get(view)))


@router.post("/behaviours")
def save_behaviour(desk: TheDesk, asked: BehaviourAsked) -> Item:
    """Save pairs of prompts that somebody typed as a behaviour of the folder."""
    return behaviours.save(desk.folder, desk.items, asked)


@router.get("/labels", response_model=LabelsShown)
def labels(desk: TheDesk, path: str) -> Any:
    """What a file says of units."""
    return written(reports.labels(desk.folder, path))


@router.get("/comparison", response_model=ComparisonShown)
def comparison(desk: TheDesk, path: str) -> Any:
    """The cells of a comparison of methods."""
    return written(reports.comparison(desk.folder, path))


@router.get("/atlas", response_model=AtlasShown)
def atlas(desk: TheDesk, path: str) -> Any:
    """The behaviours of an atlas; the whole circuit of each is `circuits/ID.json` beside it."""
    file = desk.folder.file(path)
    return sent(desk.kept.of(("atlas", path), [file], lambda: as_json(reports.atlas(desk.folder, path))))
