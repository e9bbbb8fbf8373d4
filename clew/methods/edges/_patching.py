"""Edges patched for real: what the searches that run the model for every edge share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.models import Model
from clew.models.graph.components import Components
from clew.models.graph.paths import Paths
from clew.progress import Loops
from clew.readings.contrast import edge_tokens
from clew.scale.budget import at_once


@dataclass(frozen=True)
class Patching:
    """One batch of pairs, its metric with every edge in place, and what is needed to cut edges."""

    behaviour: Behaviour
    batch: Batch
    paths: Paths
    whole: Float[Tensor, " example"]

    def copies(self, tokens: int) -> int:
        """How many copies of the batch may run at once, by tokens and by what the sources write."""
        values = self.paths.other.numel()
        return at_once(values, most=tokens // self.batch.clean.numel())

    def metric(self, keep: Bool[Tensor, "copies source reader"]) -> Float[Tensor, "copies example"]:
        """The metric of every example with each of these tables of edges."""
        reads = self.behaviour.needs.reads
        with torch.no_grad():
            run = self.paths.run(self.batch.clean, keep, read=reads, logits=self.behaviour.needs.last)
            return self.behaviour.measured(run, self.batch.repeat(len(keep))).view(len(keep), -1)

    def drops(
        self, cuts: Bool[Tensor, "cut source reader"], tokens: int, kept: Bool[Tensor, "source reader"]
    ) -> Float[Tensor, "cut example"]:
        """Drop of the metric for each set of edges, cut on top of those that are not kept."""
        parts = [self.metric(kept & ~some) for some in cuts.split(self.copies(tokens))]
        return self.whole - torch.cat(parts)


def patchings(model: Model, behaviour: Behaviour, graph: Components, loops: Loops | None = None) -> Iterator[Patching]:
    """The batches of a behaviour, each after one clean run and one of the patch prompts. Args: loops: told of them."""
    if behaviour.baseline != "patch":
        raise ValueError(f"{behaviour.name} has no patch prompts for cut edges to hand on; give pairs with a patch")
    reads = [*graph.source_sites, *behaviour.needs.reads]
    batches = list(behaviour.batches(model, tokens=edge_tokens(graph)))
    for batch in (loops or Loops(None)).over(batches):
        assert batch.patch is not None
        with torch.no_grad():
            clean = model.run(batch.clean, read=reads, logits=behaviour.needs.last, record=True)
            other = graph.writes(model.run(batch.patch, read=graph.source_sites, logits=0))
            paths = Paths(graph, model, other, graph.writes(clean), clean)
            yield Patching(behaviour, batch, paths, behaviour.measured(clean, batch))


def wired(graph: Components, circuit: Circuit) -> Bool[Tensor, "source reader"]:
    """The edges of a circuit to start from. Raises: ValueError when it has none."""
    if not len(circuit.weight):
        raise ValueError(
            f"the circuit has {len(circuit)} nodes and no edges between components; find some by eap or eap_ig_inputs"
        )
    return graph.keep(circuit)


def edge_list(edges: Bool[Tensor, "source reader"]) -> Int[Tensor, "edge 2"]:
    """(source, reader) of every edge, reader by reader from the first on."""
    return edges.T.nonzero().flip(1)


def one_by_one(edges: Int[Tensor, "edge 2"], like: Bool[Tensor, "source reader"]) -> Bool[Tensor, "edge source reader"]:
    """A table for each edge that holds it alone."""
    tables = like.new_zeros(len(edges), *like.shape)
    tables[torch.arange(len(edges)), edges[:, 0], edges[:, 1]] = True
    return tables
