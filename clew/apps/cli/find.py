"""clew find: the circuit behind a behaviour."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Flag, Json, Several, aside, open_behaviour, open_lens, say, working


@options_of("methods")
def find(
    model: str,
    behaviour: str,
    /,
    *,
    by: str = "integrated_gradients",
    through: Annotated[tuple[Path, ...], Several] = (),
    neurons: Annotated[tuple[str, ...], Several] = (),
    heads: Flag = False,
    components: Flag = False,
    circuit: Path | None = None,
    top: int | None = None,
    select: str = "top",
    rho: float = 0.5,
    significant: float | None = None,
    out: Path = Path("circuit.json"),
    tried: int = 20,
    all_examples: Flag = False,
    examples: int | None = None,
    metric: str | None = None,
    all_pairs: Flag = False,
    dtype: str | None = None,
    device: str | None = None,
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
    through
        Files or folders of dictionaries; without them the units are neurons.
    neurons
        Sites whose single coordinates are the units, such as resid.3.
    heads
        Let attention heads be the units.
    components
        Let the embedding, heads and MLPs be the units.
    circuit
        A saved circuit whose nodes are scored or wired, for methods that take one.
    top
        Keep this many nodes, or edges of a search over components; 0 keeps all. 100 where it is not given, but for graphs
        of one prompt, which come pruned.
    select
        How they are chosen: top, ratio, greedy, ilp (a file of clew/selection); with options as in ratio:rho=0.7, and one
        after the other as in bootstrap+greedy.
    rho
        For `ratio`: the share that is chosen by largest positive score.
    significant
        First leave out what does not keep its sign over the prompts with this confidence, such as .95.
    out
        Where to save the circuit.
    tried
        Of a graph whose numbers are effects on the metric, ablate this many of the strongest nodes or edges on eight
        prompts and say whether they do what it predicts; 0 for none.
    examples
        How many prompt pairs at most; give `clew verify` the same number.
    metric
        What is measured on the answer: logit_difference, answer_logit, log_probability, probability_difference or
        kl_divergence; that of the behaviour by default.
    all_pairs
        Also use the pairs that the model gets wrong; they are left out by default.
    all_examples
        Use every example, not only the training half; then nothing is left to verify on.
    dtype
        float32, float16, bfloat16 or float64.
    device
        Where to run: cpu, cuda, cuda:1, mps.
    """
    if top is not None and top < 0:
        raise ValueError(f"--top is {top}; give the number of nodes or edges to keep, or 0 for all")
    nodes = _nodes(by, circuit)
    choose = _selection(select, rho)
    view: dict[str, Any] = {"through": through, "neurons": neurons, "heads": heads, "components": components}
    lens = open_lens(model, **view, dtype=dtype, device=device)
    import clew
    from clew.evidence import half
    from clew.measures.circuits.predicted_effects import with_predicted_effects

    task = open_behaviour(behaviour, lens, examples, metric, all_pairs)
    with working(f"{by.replace('_', ' ')} on {behaviour}"):
        found = clew.find(lens, task, nodes, by=by, held_out=not all_examples, **options)
        if len(found.weight):
            found = with_predicted_effects(lens, half(task, "train", not all_examples), found, nodes=tried)
    if significant is not None:
        from clew.finder import load

        found = load("circuits.selection", "bootstrap")(found, confidence=significant)
    if top is None:
        top = 0 if found.kind.prompt else 100
    if top or select != "top":
        found = choose(found, top or max(len(found), len(found.weight)))
    found.save(out)
    strongest = _strongest(found)
    lines = [f"  {n['score']:+9.4f}  {n['address']:<22} {n['label']}".rstrip() for n in strongest]
    effects = found.details.get("predicted_effects")
    if effects:
        lines.append(
            f"  predicted against intervened effects of the strongest: r {effects['r']:.2f}, slope {effects['slope']:.2f}"
        )
    summary = {
        "predicted_effects": effects,
        "circuit": str(out),
        "nodes": len(found),
        "edges": len(found.weight),
        "strongest": strongest,
    }
    say("\n".join([f"{len(found)} nodes and {len(found.weight)} edges, saved as {out}", *lines]), summary, json)
    if not json:
        given = (
            [f"--through {p}" for p in through]
            + [f"--neurons {' '.join(neurons)}"] * bool(neurons)
            + ["--heads"] * heads
            + ["--components"] * components
        )
        given += [f"--examples {examples}"] * (examples is not None) + [f"--metric {metric}"] * (metric is not None)
        given += ["--all-pairs"] * all_pairs
        aside(f"next: {' '.join(['clew verify', model, behaviour, str(out), *given])}, or clew show {out}")


def _selection(name: str, rho: float) -> Callable[[Any, int], Any]:
    """How to choose n: nodes of a circuit of a lens, edges of one of components."""
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
