"""explain: names for the units of a circuit, or of addresses, tested on text they were not made from."""

from __future__ import annotations

from typing import Any

from clew.apps._desk.asked import RunAsked, ViewAsked
from clew.apps._desk.plans.plan import HOW, MODEL, Work, line, list_option
from clew.apps._desk.runs import Plan, Teller
from clew.finder import load
from clew.signatures import options_of

ARGS = {
    **MODEL,
    **HOW,
    "index": "the path of an index of where the units fire",
    "circuit": "the path of a circuit whose units are explained",
    "units": "or addresses, such as resid.3/17",
    "scorers": "what tests an explanation",
    "floors": "what is scored beside it",
    "windows": "in how many windows scorers look",
}


def plan(work: Work) -> tuple[RunAsked, Plan]:
    """From an index; the labels stay in it, so that what was stopped goes on."""
    index, circuit, units = work.needed("index"), work.one("circuit", str), work.some("units", str)
    if bool(circuit) == bool(units):
        raise ValueError("say what to explain: args.circuit or args.units, one of the two")
    work.folder.there(index)
    if circuit:
        work.folder.file(circuit)
    by, scorers, floors = (
        work.one("by", str, "rules"),
        work.some("scorers", str),
        work.some("floors", str) or ["shuffled"],
    )
    named = {"explain.explainers": [by], "explain.scorers": scorers, "explain.floors": floors}
    functions = [load(room, name) for room, some in named.items() for name in some]
    if asking := [function for function in functions if "asks" in options_of(function)]:
        raise ValueError(
            f"{asking[0].__name__} asks a language model, which the command line alone does: clew explain --asks ADDRESS"
        )
    options, asked = work.options(functions[0]), _seen(work, functions)
    result, stem = "", (circuit or "").rpartition("/")[2].removesuffix(".json")
    if circuit:
        work, result = work.named(f"{stem}.named", ".json")
    command = line(
        ["explain", index],
        [circuit] if circuit else list_option("--units", units),
        ["--by", by],
        list_option("--scorers", scorers),
        list_option("--floors", floors),
        [f"--windows={windows}"] if (windows := work.one("windows", int, at_least=1)) else [],
        ["--model", asked.model, *list_option("--through", asked.through)] if asked else [],
        work.typed_options(),
        ["--to", result] if result else [],
    )

    def run(tell: Teller) -> str:
        import clew

        model = None if asked is None else work.view(asked, tell, 0.05).model
        opened = clew.Index.load(work.folder.there(index))
        found = None if circuit is None else _circuit(work, circuit)
        wanted = units or _units_of(found, opened)
        tell.part(f"explaining {len(wanted)} units", 0.05, 1.0)
        how: Any = {"by": by, "scorers": scorers or None, "floors": floors, "windows": windows, "model": model}
        labels = clew.explain(opened, wanted, to=opened.labels, progress=tell, **how, **options)
        if found is None:
            return index
        found.explained(labels).save(work.path(result))
        return result

    return work.asked, Plan(f"{by} of the units of {circuit or ', '.join(units[:4])}", command, True, run, work.gate)


def _seen(work: Work, functions: list[Any]) -> ViewAsked | None:
    """The model, where something runs it. Raises: ValueError where it is needed and not given."""
    if work.one("model", str):
        return work.view_asked
    if any("model" in options_of(f) and options_of(f)["model"] is not None for f in functions):
        raise ValueError("this explainer or scorer runs the model whose units these are; give args.model")
    return None


def _circuit(work: Work, name: str) -> Any:
    from clew.apps._desk.circuits import circuit_of

    return circuit_of(work.folder, name)


def _units_of(circuit: Any, index: Any) -> list[str]:
    """The units of a circuit at the sites of an index. Raises: ValueError where there are none."""
    from clew.circuits.circuit import ERROR

    sites = set(index.sites)
    found = [node.address.partition("@")[0] for node in circuit if node.unit != ERROR and node.site in sites]
    if not found:
        raise ValueError(
            f"no unit of the circuit is at a site of the index, which is of {', '.join(map(str, index.sites))}"
        )
    return list(dict.fromkeys(found))
