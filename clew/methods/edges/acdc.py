"""ACDC: from the logits upstream, take out every edge whose removal costs less than a threshold.

Source: Conmy et al. 2023 (arXiv:2304.14997), algorithm 1. We test several edges in one forward, on the guess that all
of them go, and take up the sequence again after the first that stays; the result is that of testing them one by one.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from clew.circuits.circuit import Circuit
from clew.circuits.ranked import EdgesOfComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods.edges._patching import Patching, edge_list, patchings, wired
from clew.models import Model
from clew.models.graph.components import Components
from clew.progress import Tell
from clew.sites import READERS, Site


def acdc(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit | None = None,
    *,
    threshold: float = 0.01,
    objective: str | None = "kl_divergence",
    tokens: int = 4096,
    progress: Tell | None = None,
) -> EdgesOfComponents:
    """The edges that stay when each, from the last reader to the first, is cut unless the objective drops by `threshold`.

    Args:
        circuit: start from its edges instead of from all, for models with too many; take the strongest of a cheap search.
        threshold: in units of the objective; an edge stays when cutting it, after all that were cut before, lowers its mean
            by this much or more.
        objective: -KL(whole model || circuit), in nats, as published; another metric by name, or None for the behaviour's
            own, which lets go of every edge that works against it.
        tokens: how many run at once, as copies of the prompts.
        progress: told (edges decided, edges).

    Returns: a Circuit of the edges that stay; the weight of each is the drop that kept it. Costs: up to one forward
    of the blocks from its reader on for every edge; edges of a component that nobody reads any more cost nothing.
    """
    if threshold <= 0:
        raise ValueError(f"threshold={threshold}: give a positive drop of the objective, or every edge stays")
    own, behaviour = behaviour.metric, behaviour if objective is None else behaviour.with_metric(objective)
    graph = Components(model.body)
    start = graph.legal if circuit is None else wired(graph, circuit)
    greedy = Greedy(graph, list(patchings(model, behaviour, graph)), start.clone(), tokens)
    queue = edge_list(start).flip(0)
    weight = torch.zeros(start.shape, dtype=torch.float64)
    at, guess = 0, 1
    while at < len(queue):
        if not greedy.is_read(int(queue[at, 1])):
            greedy.kept[queue[at, 0], queue[at, 1]] = False
            at += 1
            continue
        drops, gone = greedy.try_to_cut(queue[at : at + guess], threshold)
        if gone < len(drops):
            weight[queue[at + gone, 0], queue[at + gone, 1]] = drops[gone]
        at, guess = (
            at + min(gone + 1, len(drops)),
            (min(2 * guess, greedy.limit) if gone == len(drops) else max(1, guess // 2)),
        )
        if progress:
            progress(at, len(queue))
    found = graph.circuit(weight).keep_edges(greedy.kept[graph.legal].numpy())
    found = found.with_kind(in_metric_units=behaviour.metric == own)
    return found.scored_on(circuit, model.body.fingerprint)


class Greedy:
    """The edges still in place, and what the metric is with them."""

    def __init__(
        self, graph: Components, patchings: list[Patching], kept: Bool[Tensor, "source reader"], tokens: int
    ) -> None:
        self.graph, self.patchings, self.kept, self.tokens = graph, patchings, kept, tokens
        self.limit = min(patching.copies(tokens) for patching in patchings)
        self.value = self._mean(kept[None])[0]
        self._writers = self._writers_behind()

    def is_read(self, reader: int) -> bool:
        """Whether anything still reads what a reader's component writes."""
        return self._writers[reader] is None or bool(self.kept[self._writers[reader]].any())

    def try_to_cut(self, edges: Int[Tensor, "edge 2"], threshold: float) -> tuple[list[float], int]:
        """Cut these edges one after the other until one must stay; (drop of each, how many went)."""
        tables = self.kept.repeat(len(edges), 1, 1)
        for i, (source, reader) in enumerate(edges.tolist()):
            tables[i:, source, reader] = False
        drops: list[float] = []
        for i, value in enumerate(self._mean(tables)):
            drops.append(self.value - value)
            if drops[-1] >= threshold:
                return drops, i
            self.kept, self.value = tables[i], value
        return drops, len(edges)

    def _mean(self, tables: Bool[Tensor, "copies source reader"]) -> list[float]:
        """The metric, averaged over all examples, for each table of edges."""
        every = torch.cat([patching.metric(tables) for patching in self.patchings], dim=1)
        return every.double().mean(1).tolist()

    def _writers_behind(self) -> list[list[int] | None]:
        """The sources behind each reader, by which what it reads goes on; None for the logits."""
        behind: list[list[int] | None] = []
        for site, unit in self.graph.readers[:-1]:
            start = self.graph.source_at[Site(READERS[site.part], site.layer)].start
            group = self.graph.n_heads // self.graph.width(site.part) if site.part in "kv" else 1
            units = range(unit * group, (unit + 1) * group)
            behind.append([start + i for i in units])
        return [*behind, None]
