"""replicate: a saved circuit, report or file of edits run again from its record, as `clew replicate` does."""

from __future__ import annotations

from clew.apps._desk.asked import RunAsked, ViewAsked
from clew.apps._desk.behaviours import available
from clew.apps._desk.items import Items
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
    models, evidence = named_in(path)
    for one in models:
        work.views.place(_called(work, one))
    if strange := [one for one in evidence if one not in available() and not _inside(work, one)]:
        raise NotAllowed(f"{name} was made from {strange[0]!r:.80}, which is outside the folder; put that file into it")
    dictionaries = tuple(work.folder.path(item.path) for item in Items(work.folder).of("dictionary"))
    work, result = work.named(f"{name.rpartition('.')[0]}.again", ".json")
    through = list_option("--through", [work.folder.name(one) for one in dictionaries])

    def run(tell: Teller) -> str:
        tell.part(f"running {name} again", 0.0, 1.0)
        given = Given(through=dictionaries, open=lambda name, _: _opened(work, name))
        found = replicate(path, given=given, progress=tell)
        Rerun.of(name, found).save(work.path(result))
        return result

    command = line(["replicate", name], through, ["--out", result])
    return work.asked, Plan(f"{name}, run again", command, False, run, work.gate)


def _opened(work: Work, name: str) -> Model:
    """A model as the desk has it open for everybody, without a view."""
    return work.view(ViewAsked(_called(work, name)), Teller(lambda done, said: None), 0.0).model


def _called(work: Work, name: str) -> str:
    """A model of the folder as it is called in it, whatever a record calls it."""
    return work.folder.name((work.folder.root / name).resolve()) if _inside(work, name) else name


def _inside(work: Work, name: str) -> bool:
    """Whether a record names something in the folder: by its whole path, as it was opened then, or by its path in it."""
    found = (work.folder.root / name).resolve()
    return found.exists() and found.is_relative_to(work.folder.root)
