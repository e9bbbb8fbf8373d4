"""Edge faithfulness: how much of a behaviour the wires of a circuit carry, not its nodes alone.

Marks et al. 2024 (arXiv:2403.19647) draw edges between features and judge nodes; an edge is judged here by taking all
others away. A node of the circuit sees the nodes that an edge joins to it and everything else ablated, as in path
patching (Goldowsky-Dill et al. 2023, arXiv:2304.05969; Wang et al. 2023, arXiv:2211.00593), so an edge that is not there
hands on the ablated value. F(C) = (m(C) - m(empty)) / (m(M) - m(empty)), as for nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool

from clew.circuits.circuit import OUTPUT, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._edges import EdgeTrial
from clew.measures.circuits._feature_paths import FeaturePaths
from clew.measures.circuits._nodes import NodeTrial
from clew.measures.circuits._parts import judged
from clew.measures.circuits._trial import Trial
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.models.graph.components import Components
from clew.progress import Loops, Tell
from clew.readings.ablation import Ablation
from clew.report import Report, Row


def edge_faithfulness(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    sizes: Sequence[int] = (10, 30, 100, 300, 1000),
    random: int = 3,
    ablation: Ablation | str = Ablation(),
    tokens: int = 4096,
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """Faithfulness of a circuit's n strongest edges for each n, beside that of its nodes and of random edges.

    Args:
        circuit: nodes of the view with the edges between them (find(..., by="edges")), or a component graph.
        sizes: numbers of edges; sizes beyond the circuit are left out, and all of its edges are always judged.
        random: beside each size, the mean over this many draws of as many edges between the circuit's nodes, as many
            of them into the metric, among all pairs of which one can read the other; none beside the size of all pairs.
        ablation: what flows in place of an edge that is not there; for features as faithfulness does,
            for components the patch prompt's. Edges from sites below its `start` are always in place and not counted.
        tokens: size of the batch in which nodes that read different edges take their values side by side.
        held_out: measure on the behaviour's test half; False measures on all that is given.
        progress: told after each of the circuits judged.

    Returns: a Report with the row faithfulness of edges and random edges for each size; for features also of "nodes"
        (all of them, each seeing every other), and of the "nodes joined" by the n edges: what the n edges would carry
        were no edge between their ends missing. With every such edge in place the two are equal.
    Costs: a forward for each budget of components. For features, at each site, one pass of the blocks from the lowest
        site that is read there (one block, in a view that has every residual) for each set of incoming edges among the
        nodes that lead to the metric; `provenance["passes"]` counts them in passes over all prompts.
    Raises: ValueError for a circuit without edges, or with edges that jump over a site of the view.
    """
    used = half(behaviour, "test", held_out)
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed)
    whole = judged(trial, circuit)
    total = len(whole.weight)
    if not total:
        raise ValueError(
            "the circuit has no edges to judge; wire its nodes with find(model, behaviour, circuit, by='edges')"
        )
    if min(sizes, default=1) < 1:
        raise ValueError(f"sizes are numbers of edges, from 1 on; {list(sizes)} were given")
    if isinstance(trial, NodeTrial):
        paths = FeaturePaths(trial, whole, tokens=tokens)
        every = paths.every_edge()
    else:
        assert isinstance(trial, EdgeTrial)
        paths, every = trial, _every_edge(trial.graph, whole)
    rows = (
        [_row(trial, "nodes", trial.circuit_metric(whole), len(whole), "node")] if isinstance(trial, NodeTrial) else []
    )
    generator, loops = np.random.default_rng(seed), Loops(progress)
    for n in loops.over(sorted({n for n in sizes if n < total} | {total})):
        chosen = whole.strongest_edges(n)
        rows.append(_row(trial, "edges", paths.circuit_metric(chosen), n, "edge"))
        if isinstance(trial, NodeTrial):
            joined = chosen.wired()
            rows.append(_row(trial, "nodes joined", trial.circuit_metric(joined), len(joined), "node"))
        if random and n < len(every.weight):
            draws = [paths.circuit_metric(random_edges(chosen, every, generator)) for _ in loops.over(range(random))]
            rows.append(_row(trial, "random edges", np.mean(draws, axis=0), n, "edge"))
    passes = paths.passes if isinstance(paths, FeaturePaths) else trial.forwards
    return Report(
        f"{behaviour.name} on {model.name}: {len(whole)} nodes, {total} edges",
        tuple(rows),
        (*trial.notes, f"random edges: as many into the metric, of {len(every.weight)} that can be"),
        {"passes": passes},
    )


def random_edges(circuit: Circuit, every: Circuit, generator: np.random.Generator) -> Circuit:
    """As many edges into the metric, and as many others, as a circuit has, drawn among every edge there could be."""
    drawn = [
        generator.choice(np.flatnonzero(offered), int(wanted.sum()), replace=False)
        for offered, wanted in _kinds(every, circuit)
    ]
    return every.keep_edges(np.concatenate(drawn))


def _kinds(every: Circuit, circuit: Circuit) -> Iterator[tuple[Bool[np.ndarray, " edge"], Bool[np.ndarray, " edge"]]]:
    """Which edges of both circuits end in the metric, and which do not."""
    for last in (True, False):
        yield (every.target == OUTPUT) == last, (circuit.target == OUTPUT) == last


def _every_edge(graph: Components, circuit: Circuit) -> Circuit:
    """All edges of a component graph between the nodes of a circuit."""
    whole, names = graph.circuit(torch.ones(graph.legal.shape)), set(circuit.keys())
    return whole.keep(np.array([key in names for key in whole.keys()]))  # noqa: SIM118 (a method that makes a list)


def _row(trial: Trial, of: str, metric: np.ndarray, size: int, unit: str) -> Row:
    share = trial.share(metric)
    value = share(np.arange(len(metric)))
    return Row("faithfulness", value, *trial.interval(share), of, size, trial.prompts, unit)
