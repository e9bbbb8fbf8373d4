"""find: the circuit behind a behaviour, as `clew find` makes it, with its edges if they are asked for."""

from __future__ import annotations

from typing import Any

from clew.apps._desk.asked import RunAsked
from clew.apps._desk.plans.plan import HOW, MODEL, TASK, Work, line
from clew.apps._desk.runs import Plan, Teller
from clew.apps._starts import check_start
from clew.finder import load
from clew.progress import Stopped

ARGS = {
    **MODEL,
    **TASK,
    **HOW,
    "circuit": "the path of a circuit whose nodes are scored, for methods that take one",
    "top": "keep this many nodes, or edges of components; 0 for all, 100 by default",
    "edges": "also weigh the edges between the nodes that are kept, which are 60 at most then",
    "tried": "ablate this many of the strongest and compare with what the circuit predicts; 20 by default, 0 for none",
    "names": "where units are named from: a pack; by default that of the model, null for none",
}
USUAL = "integrated_gradients"
WIRED = 60
"""Nodes whose edges are weighed."""


def plan(work: Work) -> tuple[RunAsked, Plan]:
    """Check what can be checked before anything takes long."""
    asked, task, by = work.view_asked, work.check_task(), work.one("by", str, USUAL)
    method = load("methods", by)
    options, top = work.options(method), work.one("top", int, at_least=0)
    nodes = work.one("circuit", str)
    check_start(by, nodes, "args.circuit")
    if nodes is not None:
        work.folder.file(nodes)
    tried, edges = work.one("tried", int, 20, at_least=0), work.one("edges", bool, False)
    names = _names(work, asked)
    if edges and top is not None and not 0 < top <= WIRED:
        raise ValueError(
            f"edges are weighed between {WIRED} nodes at most, and top is {top}; keep fewer, or leave edges out"
        )
    top = top if top is not None or not edges else WIRED
    work, result = work.named(task, ".json")
    seen = [*work.typed_view(asked), *work.typed_task(), *([f"--tried={tried}"] if tried != 20 else [])]
    ends = [*(["--explain", names] if names else []), "--out", result]
    command = line(
        ["find", asked.model, task, "--by", by],
        ["--circuit", nodes] if nodes else [],
        [f"--top={top}"] if top is not None else [],
        seen,
        work.typed_options(),
        ends,
    )
    if edges:
        command += " && " + line(
            ["find", asked.model, task, "--by", "edges", "--circuit", result, f"--top={top}"], seen, ends
        )

    def run(tell: Teller) -> str:
        view = work.view(asked, tell, 0.05)
        tell.part(f"the prompts of {task}", 0.05, 0.1)
        evidence = work.task(view)
        given = [] if nodes is None else [_circuit(work, nodes)]
        halves = {} if len(evidence) > 1 else {"held_out": False}
        tell.part(f"{by.replace('_', ' ')} on {task}", 0.1, 0.65)
        stopped = None
        try:
            found = _find(view.model, evidence, *given, by=by, progress=tell, **halves, **options)
        except Stopped as caught:
            found, stopped = caught.result, caught
        found = _chosen(found, top)
        if stopped is None:
            found = _finished(found, view, evidence, tell, tried, edges, names)
        found.save(work.path(result))
        if stopped is not None:
            raise Stopped(str(stopped), result)
        return result

    return work.asked, Plan(f"{by.replace('_', ' ')} on {task} in {asked.model}", command, False, run, work.gate)


def _find(model: Any, evidence: Any, *given: Any, **options: Any) -> Any:
    import clew

    return clew.find(model, evidence, *given, **options)


def _circuit(work: Work, name: str) -> Any:
    from clew.apps._desk.circuits import circuit_of

    return circuit_of(work.folder, name)


def _names(work: Work, asked: Any) -> str | None:
    """The pack that names the units."""
    from clew.dictionaries.packs import packs

    usual = asked.model if asked.model in packs() and asked.model in asked.through else None
    if "names" not in work.asked.args:
        return usual
    name = work.one("names", str)
    if name is not None and name not in packs():
        raise ValueError(f"there is no pack {name!r}; installed packs: {', '.join(packs()) or 'none'}")
    return name


def _chosen(found: Any, top: int | None) -> Any:
    """As `clew find` chooses: graphs of one prompt come pruned, of all others the 100 strongest are kept."""
    n = top if top is not None else 0 if found.kind.prompt else 100
    if not n:
        return found
    return load("circuits.selection", "top")(found, n) if found.kind.by_edges else found.top(n)


def _finished(found: Any, view: Any, task: Any, tell: Teller, tried: int, edges: bool, names: str | None) -> Any:
    """The circuit with its edges, what came of its predictions, what its units fire on, and their names."""
    from clew.dictionaries.packs import pack_labels
    from clew.evidence import half
    from clew.explain.top_tokens import top_tokens
    from clew.measures.circuits.predicted_effects import with_predicted_effects

    held_out = None if len(task) > 1 else False
    if edges and len(found) and not len(found.weight):
        tell.part("the edges between them", 0.65, 0.75)
        found = _find(view.model, task, found, by="edges", progress=tell, held_out=held_out)
    if len(found.weight) and tried:
        tell.part("trying what it predicts", 0.75, 0.85)
        found = with_predicted_effects(view.model, half(task, "train", held_out), found, nodes=tried, progress=tell)
    tell.part("what the units fire on", 0.85, 0.98)
    try:
        found = top_tokens(view.model, found, task.prompts())
    except ValueError as error:
        found = found.with_details(note=f"what the units fire on is not known: {error}")
    return found if names is None else found.explained(pack_labels(names, found.sites))
