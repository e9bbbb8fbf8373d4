"""edit: a change of a model, computed from a behaviour, a fact or a circuit."""

from __future__ import annotations

from typing import Any

from clew.apps._desk.asked import RunAsked
from clew.apps._desk.plans.plan import HOW, MODEL, TASK, Work, line
from clew.apps._desk.plans.texts import TEXT, check_texts, windows_of
from clew.apps._desk.runs import Plan, Teller
from clew.finder import load
from clew.signatures import options_of

FACT = ("prompt", "subject", "target")
ARGS = {
    **MODEL,
    **TASK,
    **HOW,
    **TEXT,
    "prompt": "a statement with {} where the subject goes",
    "subject": "what it is about",
    "target": "what the model shall say instead",
    "old": "what it says now",
    "circuit": "or the path of a circuit",
    "budget": "how much the loss on the texts may rise, as a share of it",
}


def plan(work: Work) -> tuple[RunAsked, Plan]:
    """One kind of evidence, or none for an edit that needs none."""
    stated = [name for name in FACT if work.one(name, str)]
    if 0 < len(stated) < len(FACT):
        raise ValueError(f"a fact has a prompt, a subject and a target; given: {' and '.join(stated)}")
    circuit, on = work.one("circuit", str), work.check_task() if work.one("behaviour", str) else ""
    if bool(stated) + bool(circuit) + bool(on) > 1:
        raise ValueError("an edit is computed from one of args.behaviour, a fact and args.circuit")
    if circuit:
        work.folder.file(circuit)
    by = work.one("by", str, "rome" if stated else "shift" if circuit else "mean_difference")
    function = load("edits", by)
    options, asked, texts = work.options(function), work.view_asked, check_texts(work)
    budget = work.one("budget", float, at_least=0.0)
    if budget is not None and not texts:
        raise ValueError("a budget is held on a text; give args.texts")
    work, result = work.named(f"{by}-{on or work.one('subject', str) or 'edit'}", ".safetensors")
    fact = [word for name in (*FACT, "old") if work.one(name, str) for word in (f"--{name}", work.one(name, str))]
    command = line(
        ["edit", asked.model],
        [on] if on else [],
        ["--by", by],
        fact,
        ["--circuit", circuit] if circuit else [],
        work.typed_view(asked),
        ["--text", *texts] if texts else [],
        [f"--budget={budget}"] if budget is not None else [],
        work.typed_task(),
        work.typed_options(),
        ["--out", result],
    )

    def run(tell: Teller) -> str:
        import clew

        view = work.view(asked, tell, 0.05)
        tell.part("what it is computed from", 0.05, 0.15)
        evidence = _evidence(work, view, bool(stated), circuit, on)
        text: dict[str, Any] = {"text": windows_of(work, view)} if texts else {}
        tells = "progress" in options_of(function) or budget is not None
        tell.part(by.replace("_", " "), 0.15, 1.0)
        told: dict[str, Any] = {"progress": tell} if tells else {}
        stack = clew.edit(view.model, evidence, by=by, budget=budget, **text, **options, **told)
        stack.save(work.path(result))
        return result

    return work.asked, Plan(f"{by.replace('_', ' ')} on {asked.model}", command, False, run, work.gate)


def _evidence(work: Work, view: Any, stated: bool, circuit: str | None, on: str) -> Any:
    from clew.apps._desk.circuits import circuit_of
    from clew.data.facts.facts import Facts

    if stated:
        return Facts.one(work.needed("prompt"), work.needed("subject"), work.needed("target"), work.one("old", str, ""))
    if circuit:
        return circuit_of(work.folder, circuit)
    return work.task(view) if on else None
