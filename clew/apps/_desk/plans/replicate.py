"""replicate: a saved circuit, report or file of edits run again from its record, as `clew replicate` does."""

from __future__ import annotations

from pathlib import Path

from clew.apps._desk.asked import RunAsked, ViewAsked
from clew.apps._desk.behaviours import available, place_of
from clew.apps._desk.items import Items, readable
from clew.apps._desk.plans.plan import Work, line, list_option
from clew.apps._desk.refusals import NotAllowed
from clew.apps._desk.runs import Plan, Teller
from clew.models import Model

ARGS = {"path": "the path of a circuit, a report or edits"}


def plan(work: Work) -> tuple[RunAsked, Plan]:
    """The result says what agrees, in a file beside the file. Nothing is opened that the record names outside the folder."""
    from clew.studies.replication.replicate import Given, named_in, replicate
    from clew.studies.replication.rerun import Rerun

    name = work.needed("path")
    path = work.folder.file(name)
    try:
        models, evidence = named_in(path)
    except ValueError as error:
        raise ValueError(readable(error, path, name)) from error
    for one in models:
        work.views.place(_called(work, one, path.parent))
    for one in evidence:
        _placed(work, one, path.parent)
    dictionaries = tuple(work.folder.path(item.path) for item in Items(work.folder).of("dictionary"))
    work, result = work.named(f"{name.rpartition('.')[0]}.again", ".json")
    through = list_option("--through", [work.folder.name(one) for one in dictionaries])

    def run(tell: Teller) -> str:
        tell.part(f"running {name} again", 0.0, 1.0)
        given = Given(
            through=dictionaries,
            open=lambda name, _, beside: _opened(work, name, beside),
            place=lambda name, beside: _placed(work, name, beside),
            writes=False,
        )
        found = replicate(path, given=given, progress=tell)
        Rerun.of(name, found).save(work.path(result))
        return result

    command = line(["replicate", name], through, ["--out", result])
    return work.asked, Plan(f"{name}, run again", command, False, run, work.gate)


def _opened(work: Work, name: str, beside: Path) -> Model:
    """A model as the desk has it open for everybody, without a view."""
    return work.view(ViewAsked(_called(work, name, beside)), Teller(lambda done, said: None), 0.0).model


def _placed(work: Work, name: str, beside: Path) -> str:
    """The file of a behaviour that a record names, or the name of one. Raises: NotAllowed for what is not in the folder."""
    if name in available():
        return name
    found = _inside(work, name, beside)
    if found is None:
        raise NotAllowed(
            f"the record names the evidence {name!r:.80}, which is outside the folder; put that file into it"
        )
    return place_of(work.folder, work.folder.name(found))


def _called(work: Work, name: str, beside: Path) -> str:
    """A model of the folder as it is called in it, whatever a record calls it."""
    found = _inside(work, name, beside)
    return name if found is None else work.folder.name(found)


def _inside(work: Work, name: str, beside: Path) -> Path | None:
    """What a record names, if it is in the folder: by its whole path, as it was opened then, by its path in the folder, or by
    its path from where the file lies that is run again."""
    try:
        places = [(root / name).resolve() for root in (work.folder.root, beside)]
        return next((one for one in places if one.is_relative_to(work.folder.root) and one.exists()), None)
    except (OSError, ValueError, RuntimeError):  # no name that a file can have, or links in a circle
        return None
