"""Files that are read as they are: reports, edits, labels, comparisons, atlases."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from clew.apps._desk.answers import AtlasShown, Cells, ComparisonShown, EditsShown, LabelsShown, ReportShown
from clew.apps._desk.circuits import report_of
from clew.apps._desk.folder import Folder
from clew.apps._desk.items import readable
from clew.files import jsonable


def report(folder: Folder, name: str) -> ReportShown:
    """A report, with its table as people read it."""
    found = report_of(folder, name)
    whole = found[0] if len(found) == 1 else reduce(add, found)
    head, rows = whole.cells()
    value = whole.to_json()
    return ReportShown(
        title=whole.title,
        rows=value["rows"],
        notes=value["notes"],
        provenance=value["provenance"],
        cells=Cells(head, rows),
        sizes=whole.sizes(),
        path=name,
    )


def edits(folder: Folder, name: str) -> EditsShown:
    """What a file of edits holds, in words."""
    from clew.stack import Stack

    stack = _read(folder, name, Stack.load)
    return EditsShown(
        stack.name, [str(edit) for edit in stack], jsonable(stack.about), jsonable(stack.provenance), name
    )


def labels(folder: Folder, name: str) -> LabelsShown:
    """What a file says of units."""
    from clew.labels import Labels

    value = _read(folder, name, Labels.load).to_json()
    return LabelsShown(value["units"], value["dictionaries"], name)


def comparison(folder: Folder, name: str) -> ComparisonShown:
    """What a comparison of methods has measured so far."""
    from clew.studies.comparison.results import Results

    cells = _read(folder, name, Results.at).cells.values()
    return ComparisonShown([jsonable(vars(cell)) for cell in cells], name)


def atlas(folder: Folder, name: str) -> AtlasShown:
    """What the front end draws of an atlas."""
    from clew.apps._browsed import browsed
    from clew.studies.atlas.atlas import Atlas

    return AtlasShown(**browsed(_read(folder, name, Atlas.load)), path=name)


def _read(folder: Folder, name: str, load: Any) -> Any:
    """What a reader makes of a file. Raises: ValueError, the file called as it is in the folder."""
    path: Path = folder.file(name)
    try:
        return load(path)
    except ValueError as error:
        raise ValueError(readable(error, path, name)) from error
