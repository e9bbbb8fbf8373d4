"""Predicted against intervened effects: do the numbers of a circuit say what happens when its parts are ablated?

Every node, and every edge, of a circuit predicts a change; here each is made, one at a time, in the model itself,
with nothing approximated. Source: the validation by intervention of Ameisen et al. 2025, Circuit Tracing, and exact
patching as the judge of attribution (Marks et al. 2024, arXiv:2403.19647, appendix). r says whether the order is
right, the slope whether the size is: 1 if so, less where the circuit predicts too much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.changes import ActivationEdit, Set
from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit, Node
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.data.behaviours.metrics import measured, needs
from clew.evidence import half
from clew.measures.circuits._edges import EdgeTrial
from clew.models import Model, Trace
from clew.progress import Loops, Tell
from clew.readings.contrast import Baseline, Contrast, check_fits, found_with, state
from clew.report import Report, Row, bootstrap
from clew.sites import Site
from clew.statistics.ranks import pearson, spearman

Effects = Float[np.ndarray, " part"]


def predicted_effects(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    nodes: int = 20,
    edges: int = 20,
    drawn: int = 0,
    baseline: Baseline | None = None,
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """Pearson's r, the slope of intervened on predicted, and Spearman's rho, over nodes and over edges.

    A node is ablated at each of its positions at once, and its score is compared with the drop of the metric. An edge
    is judged by what its target loses when its source is ablated while every other site of the view in between
    stays as it is: in the metric through the target's gradient, or, for an attribution graph, in the target's own
    activation. An edge of components is patched alone in the path from its source to its reader.

    Args:
        circuit: any that was scored; the nodes of largest |score| and the edges of largest |weight| are tried.
        nodes, edges: how many. drawn: as many others of each, drawn by `seed`.
        baseline: what an ablated part becomes; by default what the circuit was found with (an attribution graph's: zero).
        held_out: on the behaviour's test half; False on all that is given. An attribution graph is tried on its prompt.
        progress: told after each part.

    Returns: a Report with the rows r, slope and spearman, `of` nodes and edges, intervals over those parts. Costs:
    one forward from its site up for each part.
    Raises: ValueError for a circuit of another view, a query-key graph, a circuit of weights, or an attribution graph of
        a prompt that the behaviour lacks.
    """
    found, examples = _tried(model, behaviour, circuit, nodes, edges, drawn, baseline, held_out, seed, progress)
    rows = [row for of, tried in found.items() if len(tried.which) for row in _rows(tried, of, examples, seed)]
    return Report(
        f"{behaviour.name} on {model.name}: predicted against intervened effects",
        tuple(rows),
        ("intervals are over nodes or edges", "r: order; slope: intervened per predicted, by least squares"),
    )


def with_predicted_effects(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    nodes: int = 20,
    examples: int = 8,
    progress: Tell | None = None,
) -> Circuit:
    """The circuit with `details["predicted_effects"]`: r and slope over its strongest nodes (or component edges).

    And under `points` what each was predicted to do and did: [address, predicted, intervened]. None for what cannot be
    told, as where all of them do the same.
    The circuit as it is where there is nothing to try: no nodes, or numbers that are no effects on the metric.

    Args: behaviour: the prompts that it was found on. nodes: how many to ablate; 0 for none. examples: on so many pairs;
        an attribution graph on its prompt. progress: told after each part.
    """
    parts = circuit.weight if circuit.kind.by_edges else circuit.score
    if not (nodes and len(parts) and predicts_effects(model, behaviour, circuit)):
        return circuit
    some = behaviour if circuit.kind.of == "prompt_graph" else behaviour.first(examples)
    edges = nodes if circuit.kind.by_edges else 0
    found, _ = _tried(model, some, circuit, nodes, edges, 0, None, False, 0, progress)
    of = "edges" if circuit.kind.by_edges else "nodes"
    tried = found[of]
    fit = {"r": pearson(tried.predicted, tried.intervened), "slope": slope(tried.predicted, tried.intervened)}
    told = {name: value if np.isfinite(value) else None for name, value in fit.items()}
    points = zip(_named(circuit, of, tried.which), tried.predicted.tolist(), tried.intervened.tolist(), strict=True)
    return circuit.with_details(predicted_effects={**told, of: len(tried.which), "points": [list(p) for p in points]})


def _named(circuit: Circuit, of: str, which: np.ndarray) -> list[str]:
    """Addresses of nodes, or of both ends of edges."""
    nodes = circuit.nodes
    if of == "nodes":
        return [nodes[i].address for i in which]
    ends = zip(circuit.source[which].tolist(), circuit.target[which].tolist(), strict=True)
    return [f"{nodes[u].address} -> {'logits' if v == OUTPUT else nodes[v].address}" for u, v in ends]


@dataclass(frozen=True)
class Tried:
    """Nodes, or edges, that were ablated one at a time."""

    which: np.ndarray
    """Their indices in the circuit's columns."""
    predicted: Effects
    intervened: Effects


def _tried(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    nodes: int,
    edges: int,
    drawn: int,
    baseline: Baseline | None,
    held_out: bool,
    seed: int,
    progress: Tell | None,
) -> tuple[dict[str, Tried], int]:
    """What nodes and what edges were predicted to do and did, and on how many examples."""
    if circuit.kind.of == "attention":
        raise ValueError("a query-key graph explains an attention score and predicts nothing of the metric")
    circuit.kind.check_ablatable()
    ids = circuit.kind.prompt.token_ids if circuit.kind.of == "prompt_graph" and circuit.kind.prompt else ()
    used = half(behaviour, "test", held_out and not ids)
    random = np.random.default_rng(seed)
    if circuit.kind.by_edges:
        some = _some(circuit.weight, edges, drawn, random)
        return {"edges": Tried(some, *_component_edges(model, used, circuit, some, seed, progress))}, len(used)
    used = with_prompt(model, behaviour, ids) if ids else used
    trial = Interventions(model, used, circuit, baseline, seed)
    of_node = np.array([i for i in range(len(circuit)) if trial.can_ablate(i)], int)
    if not len(of_node):
        raise ValueError("no node of the circuit is at a site of this view, so there is nothing to ablate")
    of_edge = np.array([e for e in range(len(circuit.weight)) if trial.can_ablate(int(circuit.source[e]))], int)
    tried = of_node[_some(circuit.score[of_node], nodes, drawn, random)]
    wired = of_edge[_some(circuit.weight[of_edge], edges, drawn, random)]
    parts = [*((trial.node, i) for i in tried.tolist()), *((trial.edge, e) for e in wired.tolist())]
    lost = np.array([ablate(part) for ablate, part in Loops(progress).over(parts)])
    n = len(tried)
    found = {
        "nodes": Tried(tried, circuit.score[tried], lost[:n]),
        "edges": Tried(wired, circuit.weight[wired], lost[n:]),
    }
    return found, sum(len(b) for b in trial.contrast.batches)


def predicts_effects(model: Model, behaviour: Behaviour, circuit: Circuit) -> bool:
    """Whether a circuit's numbers are effects on the metric that can be tried on these prompts."""
    if not circuit.kind.in_metric_units:
        return False
    if circuit.kind.by_edges:
        made = circuit.provenance.get("options", {})
        patched = behaviour.baseline == "patch" and found_with(circuit) in (None, "patch")
        return patched and not made.get("ungrouped")
    return circuit.kind.of == "prompt_graph" or set(circuit.sites) <= set(model.dictionaries)


def _some(size: np.ndarray, n: int, drawn: int, random: np.random.Generator) -> np.ndarray:
    """Indices of the n largest, and of `drawn` of the others."""
    order = np.argsort(-np.abs(size), kind="stable")
    rest = order[n:]
    return np.concatenate([order[:n], random.choice(rest, min(drawn, len(rest)), replace=False)])


def _rows(tried: Tried, of: str, examples: int, seed: int) -> list[Row]:
    predicted, intervened = tried.predicted, tried.intervened
    statistics: dict[str, Callable[[Effects, Effects], float]] = {"r": pearson, "slope": slope, "spearman": spearman}
    rows = []
    for name, statistic in statistics.items():
        low, high = bootstrap(lambda i, f=statistic: f(predicted[i], intervened[i]), len(predicted), seed=seed)
        rows.append(Row(name, statistic(predicted, intervened), low, high, of, len(predicted), examples, of[:-1]))
    return rows


def slope(x: Effects, y: Effects) -> float:
    """Of the least-squares line of y on x."""
    x = x - x.mean()
    return float(x @ y / (x @ x)) if x.any() else float("nan")


def _component_edges(
    model: Model, behaviour: Behaviour, circuit: Circuit, some: np.ndarray, seed: int, progress: Tell | None
) -> tuple[Effects, Effects]:
    """(weight, drop of the metric with that edge alone on the patch prompt) of component edges."""
    trial = EdgeTrial(model, behaviour, seed=seed, progress=progress, circuits=len(some))
    drops = [
        (trial.whole - trial.circuit_metric(circuit.keep_edges(some[i : i + 1]), complement=True)).mean()
        for i in range(len(some))
    ]
    return circuit.weight[some], np.array(drops)


def with_prompt(model: Model, behaviour: Behaviour, ids: Sequence[int]) -> Behaviour:
    """The behaviour of the one pair whose clean prompt has these ids."""
    for batch in behaviour.batches(model):
        for row, pair in zip(batch.clean.tolist(), batch.pairs, strict=True):
            if row == list(ids):
                return replace(behaviour, pairs=(pair,), split=None, part="all")
    raise ValueError(f"the graph belongs to a prompt of {len(ids)} tokens that is not among those of {behaviour.name}")


class Interventions:
    """Clean runs of some prompts, and what the metric, or one node, loses when another node is ablated."""

    def __init__(
        self, model: Model, behaviour: Behaviour, circuit: Circuit, baseline: Baseline | None, seed: int
    ) -> None:
        self.graph = circuit.kind.of == "prompt_graph"
        """An attribution graph: weights are in the target's activation, and tokens and logits are nodes too."""
        made = circuit.provenance.get("options", {})
        self.contrast = Contrast(
            model, behaviour, baseline or ("zero" if self.graph else found_with(circuit)), seed=made.get("seed", seed)
        )
        self.model, self.circuit, self.nodes = model, circuit, circuit.nodes
        view = np.array([s in model.dictionaries or not self.graph for s in circuit.sites], bool)
        check_fits(model, circuit.keep(view[circuit.site]), {b.clean.shape[1] for b in self.contrast.batches})
        self._runs = [self._clean(batch) for batch in self.contrast.batches]

    def _clean(self, batch: Batch) -> tuple[Batch, Trace, Trace | None, Tensor, dict[Site, Tensor]]:
        metric = self.contrast.behaviour.metric
        read = {*self.contrast.sites, *needs(metric).reads, *(Site("embed"), Site("final"))}
        clean = self.model.run(batch.clean, read=read, grad=True, logits=needs(metric).last, record=True)
        value = measured(metric, clean, batch)
        grads = clean.gradients(-value.sum()) if value.requires_grad else {}
        return batch, clean, self.contrast.other(batch), value.detach(), grads

    def can_ablate(self, index: int) -> bool:
        """Whether the view has this node; a token of an attribution graph is its embedding."""
        site = self.nodes[index].site
        return site in self.model.dictionaries or (self.graph and site.part == "embed")

    def node(self, index: int) -> float:
        """Mean drop of the metric."""
        drops = []
        for batch, clean, other, whole, _ in self._runs:
            run = self._run(batch, clean, [self._ablation(self.nodes[index], clean, other)])
            drops.append(whole - self.contrast.behaviour.measured(run, batch).detach())
        return float(torch.cat(drops).mean())

    def edge(self, index: int) -> float:
        """What the target loses through this edge alone: sites of the view between the two are held."""
        source = self.nodes[int(self.circuit.source[index])]
        to = int(self.circuit.target[index])
        target = None if to == OUTPUT else self.nodes[to]
        lost = []
        for batch, clean, other, whole, grads in self._runs:
            end = Site("final") if target is None else target.site
            reads = [end]
            if target is not None and end in self.model.dictionaries:
                reads.append(self.model.dictionaries[end].reads)
            held = [Set(s, value=clean[s].detach()) for s in self.model.dictionaries if source.site < s < min(reads)]
            run = self._run(batch, clean, [self._ablation(source, clean, other), *held], reads)
            if target is None:
                lost.append(whole - self.contrast.behaviour.measured(run, batch).detach())
            else:
                lost.append(self._loss_of(target, clean, run, grads))
        return float(torch.cat(lost).mean())

    def _loss_of(self, target: Node, clean: Trace, run: Trace, grads: dict[Site, Tensor]) -> Float[Tensor, " example"]:
        """Of the target's activation in an attribution graph, else of the metric through its gradient."""
        where = slice(None) if target.position == ANYWHERE else slice(target.position, target.position + 1)
        if target.site.part == "final" and self.graph:
            table = self.model.body.unembedding
            direction = table[target.unit] - table.mean(0)
            return ((clean["final"] - run["final"])[:, where] @ direction).detach().sum(1)
        dictionary = self.model.dictionaries[target.site]
        before, after = state(clean, target.site), state(run, target.site)
        if self.graph:
            return (before.code - after.code)[:, where, target.unit].sum(1)
        grad = grads[target.site].to(before.code.dtype)
        if target.unit == ERROR:
            return (grad * (after.error - before.error))[:, where].sum((1, 2))
        return dictionary.fold(dictionary.pull(grad) * (after.code - before.code))[:, where, target.unit].sum(1)

    def _ablation(self, node: Node, clean: Trace, other: Trace | None) -> ActivationEdit:
        """The edit that gives one node its other state."""
        dictionary = self.model.dictionaries.get(node.site)
        keep = torch.ones(clean.tokens.shape[1], 1, dtype=torch.bool, device=clean.tokens.device)
        keep[slice(None) if node.position == ANYWHERE else node.position] = False
        if dictionary is None:
            return Set(node.site, value=0.0, keep=keep)
        _, there = self.contrast.states(clean, other, node.site)
        if node.unit == ERROR:
            return Set(node.site, value=there.error, keep=keep, basis="error")
        others = torch.arange(dictionary.n_units, device=keep.device) != node.unit
        return Set(node.site, value=there.code, keep=keep | dictionary.unfold(others), basis="code")

    def _run(self, batch: Batch, clean: Trace, edits: list[ActivationEdit], read: list[Site] | None = None) -> Trace:
        needed = self.contrast.behaviour.needs
        reads = [*(read or ()), *needed.reads]
        return self.model.run(batch.clean, read=reads, edits=edits, logits=needed.last, base=clean)
