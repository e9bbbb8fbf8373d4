"""A trial of edges: every edge outside a circuit hands on what its source wrote on the pair's patch prompt."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.measures.circuits._trial import Trial
from clew.models import Model
from clew.models.graph.components import Components
from clew.models.graph.paths import Paths
from clew.progress import Tell
from clew.readings.contrast import edge_tokens


class EdgeTrial(Trial):
    """A model and some prompts: measures any number of component circuits by their edges, against the same two ends.

    Whole is the model as it is, empty is every reader reading the patch prompt's stream; each costs one forward, and
    so does every circuit, for what the sources write on the patch prompts is kept. Source: MIB (Mueller et al. 2025,
    arXiv:2504.13151), where the patch run is made anew for every size.
    """

    unit = "edge"

    def __init__(
        self,
        model: Model,
        behaviour: Behaviour,
        *,
        seed: int = 0,
        progress: Tell | None = None,
        circuits: int = 0,
    ) -> None:
        """Args: circuits: how many will be measured, for `progress`."""
        if behaviour.baseline != "patch":
            raise ValueError(
                f"{behaviour.name} has no patch prompts, and edges outside a circuit read those; give pairs with a patch"
            )
        self.model, self.behaviour, self.seed = model, behaviour, seed
        self.graph = Components(model.body)
        self.batches = list(behaviour.batches(model, tokens=edge_tokens(self.graph)))
        self.progress, self.expected = progress, 2 + circuits
        self._paths: list[Paths] = []
        empty: list[Tensor] = []
        for batch in self.over(self.batches):
            assert batch.patch is not None
            reads = [*self.graph.source_sites, *behaviour.needs.reads]
            run = model.run(batch.patch, read=reads, logits=behaviour.needs.last)
            self._paths.append(Paths(self.graph, model, self.graph.writes(run)))
            empty.append(behaviour.measured(run, batch).detach())
        self.empty = torch.cat(empty).cpu().double().numpy()
        self.whole = self.metric(torch.ones_like(self.graph.legal))
        self.check_ends("every edge")

    @property
    def how(self) -> tuple[str, ...]:
        return (
            f"edges outside the circuit read the patch prompt; {self.said_prompts}; "
            f"metric {self.whole.mean():z.3f} whole, {self.empty.mean():z.3f} empty",
        )

    def metric(self, keep: Bool[Tensor, "source reader"]) -> np.ndarray:
        """Metric of every prompt with these edges in place."""
        values: list[Tensor] = []
        for batch, paths in self.over(list(zip(self.batches, self._paths, strict=True))):
            needed = self.behaviour.needs
            run = paths.run(batch.clean, keep, read=needed.reads, logits=needed.last)
            values.append(self.behaviour.measured(run, batch).detach())
        return torch.cat(values).cpu().double().numpy()

    def circuit_metric(self, circuit: Circuit, *, complement: bool = False) -> np.ndarray:
        """Metric of every prompt with only the circuit's edges in place, or with only the others."""
        return self.metric(self.graph.keep(circuit) ^ complement)

    def size(self, circuit: Circuit) -> int:
        return len(circuit.weight)

    def total(self, circuit: Circuit) -> int:
        return self.graph.n_edges

    def largest(self, circuit: Circuit, n: int) -> Circuit:
        return circuit.strongest_edges(n)

    def draw(self, circuit: Circuit, index: np.ndarray) -> Circuit:
        return circuit.keep_edges(index)
