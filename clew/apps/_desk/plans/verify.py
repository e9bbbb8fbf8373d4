"""verify: a report on a circuit, on edits, or on dictionaries, as `clew verify` makes it."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from clew.apps._desk.asked import RunAsked
from clew.apps._desk.plans.plan import HOW, MODEL, TASK, Work, line, list_option
from clew.apps._desk.plans.texts import TEXT, check_texts, windows_of
from clew.apps._desk.runs import Plan, Teller
from clew.finder import load
from clew.progress import Stopped
from clew.signatures import options_of

ARGS = {
    **MODEL,
    **TASK,
    **HOW,
    **TEXT,
    "circuit": "the path of the circuit that is measured",
    "edits": "or the paths of files of edits, made one after the other",
    "dictionaries": "or a pack or paths of dictionaries, measured on texts",
}
OPTION = {"edits": "--edit", "dictionaries": "--dictionary"}
USUAL = {"circuit": ("measures.circuits", "faithfulness"), "dictionaries": ("measures.dictionaries", "fit")}
OF_EDITS = "steering_effect"
"""The usual measure of edits, on a behaviour."""


def plan(work: Work) -> tuple[RunAsked, Plan]:
    """One claim, and what it is measured on."""
    given = [name for name in ("circuit", "edits", "dictionaries") if work.asked.args.get(name)]
    if len(given) != 1:
        raise ValueError("give one of args.circuit, args.edits and args.dictionaries to be measured")
    claim = given[0]
    paths = [work.needed("circuit")] if claim == "circuit" else work.some(claim, str)
    _check_there(work, claim, paths)
    room, usual = USUAL.get(claim, ("measures.edits", _usual_of_edits(work)))
    by = work.one("by", str, usual)
    measure = load(room, by)
    options, asked = work.options(measure), work.view_asked
    on = work.check_task() if work.one("behaviour", str) else ""
    texts = check_texts(work)
    if claim == "circuit" and not on:
        raise ValueError("a circuit is measured on a behaviour; give args.behaviour")
    if claim != "circuit" and bool(on) == bool(texts):
        raise ValueError(f"say what the {claim} are measured on: args.behaviour or args.texts, one of the two")
    work, result = work.named(f"{paths[0].rpartition('/')[2].partition('.')[0]}.{by}", ".report.json")
    what = {
        "circuit": paths,
        "edits": list_option("--edit", paths),
        "dictionaries": list_option("--dictionary", paths),
    }[claim]
    command = line(
        ["verify", asked.model],
        [on] if on else [],
        what,
        ["--by", by],
        work.typed_view(asked),
        work.typed_task(),
        list_option("--text", texts),
        work.typed_options(),
        ["--out", result],
    )

    def run(tell: Teller) -> str:
        import clew

        view = work.view(asked, tell, 0.05)
        tell.part("what it is measured on", 0.05, 0.15)
        evidence = work.task(view) if on else windows_of(work, view)
        halves = {"held_out": False} if on and len(evidence) < 2 else {}
        told: dict[str, Any] = {"progress": tell} if "progress" in options_of(measure) else {}
        reports = list[Any]()
        claims = _claims(work, claim, paths, view)
        for i, one in enumerate(claims):
            tell.part(
                f"{by.replace('_', ' ')} of {paths[min(i, len(paths) - 1)]}",
                0.15 + 0.85 * i / len(claims),
                0.15 + 0.85 * (i + 1) / len(claims),
            )
            try:
                reports.append(clew.verify(view.model, evidence, one, by=by, **halves, **options, **told))
            except Stopped as stopped:
                stopped.result.save(work.path(result))
                raise Stopped(str(stopped), result) from stopped
        reduce(add, reports).save(work.path(result))
        return result

    return work.asked, Plan(f"{by.replace('_', ' ')} of {', '.join(paths)}", command, False, run, work.gate)


def _usual_of_edits(work: Work) -> str:
    return OF_EDITS if work.one("behaviour", str) else "locality"


def _check_there(work: Work, claim: str, paths: list[str]) -> None:
    for path in paths:
        if claim == "dictionaries":
            work.views.check_dictionaries(path)
        else:
            work.folder.file(path)


def _claims(work: Work, claim: str, paths: list[str], view: Any) -> list[Any]:
    """What is measured: a circuit, one stack of all edits, or dictionary after dictionary."""
    from clew.apps._desk.circuits import circuit_of
    from clew.stack import Stack

    if claim == "circuit":
        return [circuit_of(work.folder, paths[0])]
    if claim == "edits":
        return [reduce(add, [Stack.load(work.folder.file(path), view.model) for path in paths])]
    return [one for path in paths for one in work.views.dictionaries(path) if not one.joint]
