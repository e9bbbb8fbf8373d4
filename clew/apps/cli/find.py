"""clew find: the circuit behind a behaviour."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew.apps.cli._groups import Asked, Machine, View, unfolded
from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Flag, Json, aside, following, say, telling
from clew.progress import Stopped


@unfolded
@dataclass(frozen=True)
class Chosen:
    """What of the circuit is kept."""

    top: int | None = None
    """Keep this many nodes, or edges of a search over components; 0 keeps all. 100 where it is not given, but for graphs
    of one prompt, which come pruned."""
    select: str = "top"
    """How they are chosen: top, ratio, greedy, ilp (a file of clew/circuits/selection); with options as in ratio:rho=0.7,
    and one after the other as in bootstrap+greedy."""
    rho: float = 0.5
    """For `ratio`: the share that is chosen by largest positive score."""
    significant: float | None = None
    """First leave out what does not keep its sign over the prompts with this confidence, such as .95."""

    def choice(self) -> Callable[[Any], Any]:
        """What keeps that much of a circuit. Raises: ValueError for what cannot be chosen by, before anything is run."""
        if self.top is not None and self.top < 0:
            raise ValueError(f"--top is {self.top}; give the number of nodes or edges to keep, or 0 for all")
        select = _selection(self.select, self.rho)

        def choose(found: Any) -> Any:
            from clew.finder import load

            if self.significant is not None:
                found = load("circuits.selection", "bootstrap")(found, confidence=self.significant)
            top = self.top if self.top is not None else 0 if found.kind.prompt else 100
            if not top and self.select == "top":
                return found
            return select(found, top or max(len(found), len(found.weight)))

        return choose


@dataclass(frozen=True)
class Sought(Asked):
    """What the circuit is searched for on."""

    all_examples: Flag = False
    """Use every example, not only the training half; then nothing is left to verify on."""


@options_of("methods")
def find(
    model: str,
    behaviour: str,
    /,
    *,
    by: str = "integrated_gradients",
    circuit: Path | None = None,
    chosen: Chosen = Chosen(),
    out: Path = Path("circuit.json"),
    tried: int = 20,
    view: View = View(),
    asked: Sought = Sought(),
    machine: Machine = Machine(),
    json: Json = False,
    **options: Any,
) -> None:
    """Find the circuit behind a behaviour and save it. More options come from the method: `clew find --by NAME --help`.

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    behaviour
        A bundled name (`clew behaviours`) or a file.
    by
        The method: a file of clew/methods.
    circuit
        A saved circuit whose nodes are scored or wired, for methods that take one.
    out
        Where to save the circuit.
    tried
        Of a graph whose numbers are effects on the metric, ablate this many of the strongest nodes or edges on eight
        prompts and say whether they do what it predicts; 0 for none.
    """
    choose, nodes = chosen.choice(), _nodes(by, circuit)
    seen = view.open(model, machine)
    import clew
    from clew.evidence import half
    from clew.finder import load
    from clew.measures.circuits.predicted_effects import with_predicted_effects

    task, held_out = asked.behaviour(behaviour, seen), not asked.all_examples
    stopped = None
    with following(f"{by.replace('_', ' ')} on {behaviour}", load("methods", by)) as told:
        try:
            found = clew.find(seen, task, nodes, by=by, held_out=held_out, **options, **told)
        except Stopped as caught:  # what it had learned by then is kept as it is
            found, stopped, tried = caught.result, caught, 0
    if len(found.weight) and tried:
        with telling("trying what it predicts") as tell:
            found = with_predicted_effects(seen, half(task, "train", held_out), found, nodes=tried, progress=tell)
    found = choose(found)
    found.save(out)
    shown, value = _summary(found)
    text = f"{len(found)} nodes and {len(found.weight)} edges, saved as {out}\n{shown}".rstrip()
    say(text, {**value, "circuit": str(out)}, json)
    if stopped:
        raise stopped
    if not json:
        words = ["clew verify", model, behaviour, str(out), *view.typed(), *asked.typed()]
        aside(f"next: {' '.join(words)}, or clew show {out}")


def _summary(found: Any) -> tuple[str, dict[str, Any]]:
    """The strongest of a circuit and how well their effects were predicted, for people and for machines."""
    strongest, effects = _strongest(found), found.details.get("predicted_effects")
    lines = [f"  {n['score']:+9.4f}  {n['address']:<22} {n['label']}".rstrip() for n in strongest]
    if effects:
        lines.append(
            f"  predicted against intervened effects of the strongest: r {effects['r']:.2f}, slope {effects['slope']:.2f}"
        )
    sizes = {"nodes": len(found), "edges": len(found.weight)}
    return "\n".join(lines), {"predicted_effects": effects, **sizes, "strongest": strongest}


def _selection(name: str, rho: float) -> Callable[[Any, int], Any]:
    """How to choose n: nodes of a circuit of a view, edges of one of components."""
    from clew.studies.comparison.selections import selection

    select = selection(f"ratio:rho={rho}" if name == "ratio" else name)

    def choose(found: Any, n: int) -> Any:
        return found.top(n) if name == "top" and not found.kind.by_edges else select(found, n)

    return choose


def _strongest(found: Any) -> list[dict[str, Any]]:
    """Ten nodes, or ten edges where components are wired."""
    if not found.kind.by_edges:
        return [{"address": n.address, "score": n.score, "label": n.label} for n in found.top(10)]
    some, nodes = found.strongest_edges(10), found.nodes
    ends = zip(some.source.tolist(), some.target.tolist(), some.weight.tolist(), strict=True)
    return [
        {"address": f"{nodes[u].address} -> {'logits' if v < 0 else nodes[v].address}", "score": w, "label": ""}
        for u, v, w in ends
    ]


def _nodes(by: str, path: Path | None) -> Any:
    """The circuit to start from, checked against whether the method takes one."""
    from clew.circuits.circuit import Circuit
    from clew.finder import load

    parameter = inspect.signature(load("methods", by)).parameters.get("circuit")
    if path is not None and parameter is None:
        raise ValueError(f"the method {by} starts from nothing; leave --circuit {path} out")
    if path is None and parameter is not None and parameter.default is parameter.empty:
        raise ValueError(
            f"the method {by} starts from a circuit; find one first, then give it as --circuit circuit.json"
        )
    return Circuit.load(path) if path else None
