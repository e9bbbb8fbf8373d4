"""What masks are over: the nodes of a view, or the edges of the component graph.

The loss is minus an objective, which is a metric: -KL(unedited || masked) of the next token by default.
"""

from __future__ import annotations

from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.changes import ActivationEdit, Mix
from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.data.behaviours.metrics import Metric, measured, needs
from clew.methods._masks import Masked
from clew.methods._nodes import circuit_of
from clew.models import Model, Trace
from clew.models.graph.components import Components
from clew.models.graph.paths import Paths
from clew.readings.contrast import Baseline, Contrast, State, resampled
from clew.readings.means import Means
from clew.scale.budget import VALUES
from clew.sites import Site


def judged(behaviour: Behaviour, objective: str | None) -> Behaviour:
    """The behaviour with the metric of that name; None leaves its own."""
    return behaviour if objective is None else behaviour.with_metric(objective)


def mask_like(model: Model) -> Tensor:
    """An empty tensor of the precision in which masks are learned: that of the weights, float32 at least."""
    dtype = torch.promote_types(model.body.dtype, torch.float32)
    return torch.zeros(0, dtype=dtype, device=model.device)


def minus(metric: Metric, trace: Trace, batch: Batch, samples: int) -> Float[Tensor, "sample example"]:
    """The loss of every example, from a run on `samples` copies of the prompts."""
    return -measured(metric, trace, batch.repeat(samples)).view(samples, -1)


class MaskedNodes(Masked):
    """Every node of the view at mask z is z times itself plus 1 - z times its other state."""

    def __init__(
        self,
        model: Model,
        behaviour: Behaviour,
        *,
        objective: str | None,
        baseline: Baseline | None,
        positions: bool | None,
        tokens: int,
        seed: int,
    ) -> None:
        behaviour = judged(behaviour, objective)
        self.model, self.metric = model, behaviour.metric
        self.contrast = Contrast(model, behaviour, baseline, seed=seed)
        self.prompts = list(behaviour.batches(model, tokens=tokens))
        self.positions = self.contrast.keeps_positions(positions)
        held = sum(b.clean.numel() for b in self.prompts) * sum(d.n_units for d in model.dictionaries.values())
        self._remembered: dict[int, dict[Site, State]] = {}
        self._remembers = held <= VALUES
        self._means: dict[Site, Tensor] = {}
        moves: dict[Site, Tensor] = {}
        for i, batch in enumerate(self.prompts):
            for site, (here, there) in self._states(batch).items():
                dictionary = model.dictionaries[site]
                code, error = (there.code - here.code).abs(), (there.error - here.error).abs().sum(-1, keepdim=True)
                moved = torch.cat([dictionary.fold(code), error * (not dictionary.exact)], dim=-1)
                moves[site] = moves.get(site, 0) + self._pooled(moved)
                self._means[site] = self._means.get(site, 0) + self._pooled(dictionary.fold(there.code))
                if self._remembers:
                    self._remembered.setdefault(i, {})[site] = there
        self.nodes: dict[Site, Bool[Tensor, "place node"]] = {site: m != 0 for site, m in moves.items()}
        """Which (position, unit or error) have a mask."""
        self._sizes = [int(table.sum()) for table in self.nodes.values()]
        super().__init__([len(b) for b in self.prompts], sum(self._sizes), mask_like(model), seed)

    def _pooled(self, x: Float[Tensor, "example seq node"]) -> Float[Tensor, "place node"]:
        return x.sum(0) if self.positions else x.sum((0, 1)).unsqueeze(0)

    def _states(self, batch: Batch) -> dict[Site, tuple[State, State]]:
        clean = self.model.run(batch.clean, read=self.contrast.sites, logits=0)
        other = self.contrast.other(batch)
        return {site: self.contrast.states(clean, other, site) for site in self.model.dictionaries}

    def tables(self, mask: Float[Tensor, "sample item"]) -> dict[Site, Float[Tensor, "sample place node"]]:
        """Masks by site; 0 for a node that never differs, which so keeps its one value also when others are off."""
        found = {}
        for (site, nodes), part in zip(self.nodes.items(), mask.split(self._sizes, dim=1), strict=True):
            found[site] = mask.new_zeros(len(mask), *nodes.shape)
            found[site][:, nodes] = part
        return found

    def losses(self, batch: int, mask: Float[Tensor, "sample item"]) -> Float[Tensor, "sample example"]:
        prompts = self.prompts[batch]
        there = self._remembered.get(batch) or {s: pair[1] for s, pair in self._states(prompts).items()}
        samples, examples = len(mask), len(prompts)
        edits: list[ActivationEdit] = []
        for site, table in self.tables(mask).items():
            dictionary = self.model.dictionaries[site]
            weight = table.repeat_interleave(examples, 0)
            other = there[site].code.repeat(samples, 1, 1)
            edits.append(Mix(site, value=other, weight=dictionary.unfold(weight[..., :-1]), basis="code"))
            if not dictionary.exact:
                other = there[site].error.repeat(samples, 1, 1)
                edits.append(Mix(site, value=other, weight=weight[..., -1:], basis="error"))
        needed, tokens = needs(self.metric), prompts.clean.repeat(samples, 1)
        trace = self.model.run(tokens, read=needed.reads, edits=edits, grad=True, logits=needed.last)
        return minus(self.metric, trace, prompts, samples)

    def circuit(self, score: Float[Tensor, " item"]) -> Circuit:
        tables = {site: table[0] for site, table in self.tables(score[None]).items()}
        places = sum(len(b) if self.positions else b.clean.numel() for b in self.prompts)
        means = {site: total / places for site, total in self._means.items()}
        found = circuit_of(self.model, tables, means, self.positions).with_kind(in_metric_units=False)
        if not self.positions:
            return found
        return found.with_kind(length=self.prompts[0].clean.shape[1]).with_details(tokens=self.contrast.words())


class MaskedEdges(Masked):
    """Every edge of the component graph at mask z hands on z of what its source writes and 1 - z of what it would."""

    def __init__(
        self,
        model: Model,
        behaviour: Behaviour,
        *,
        objective: str | None,
        baseline: Baseline | None,
        tokens: int,
        seed: int,
    ) -> None:
        baseline = baseline or behaviour.baseline
        if baseline not in get_args(Baseline) or baseline == "patch" != behaviour.baseline:
            known = [b for b in get_args(Baseline) if b != "patch" or behaviour.baseline == "patch"]
            raise ValueError(f"baseline={baseline!r} cannot be had of {behaviour.name}; choose {', '.join(known)}")
        behaviour = judged(behaviour, objective)
        self.model, self.metric, self.seed = model, behaviour.metric, seed
        self.graph, like = Components(model.body), mask_like(model)
        self.prompts = list(behaviour.batches(model, tokens=tokens))
        written = [self._writes(batch, baseline) for batch in self.prompts]
        if baseline == "mean":
            apart = ((b.clean, {"writes": w.transpose(1, 2)}) for b, w in zip(self.prompts, written, strict=True))
            means = Means.of(model, behaviour, apart)
            written = [
                means.at("writes", b.clean).transpose(1, 2).to(w).expand_as(w)
                for b, w in zip(self.prompts, written, strict=True)
            ]
        self.paths = [Paths(self.graph, model, other) for other in written]
        self.legal = self.graph.legal.to(model.device)
        super().__init__([len(b) for b in self.prompts], self.graph.n_edges, like, seed)

    def _writes(self, batch: Batch, baseline: Baseline) -> Float[Tensor, "example source seq d_model"]:
        """What every source writes in the other state; for a mean, what is to be averaged."""
        tokens = batch.patch if baseline == "patch" else batch.clean
        tokens = resampled(batch, self.seed) if baseline == "resample" else tokens
        assert tokens is not None
        written = self.graph.writes(self.model.run(tokens, read=self.graph.source_sites, logits=0))
        return torch.zeros_like(written) if baseline == "zero" else written

    def table(self, mask: Float[Tensor, "sample item"]) -> Float[Tensor, "sample source reader"]:
        """Masks as tables of the graph; 0 where there is no edge."""
        tables = mask.new_zeros(len(mask), *self.legal.shape)
        tables[:, self.legal] = mask
        return tables

    def losses(self, batch: int, mask: Float[Tensor, "sample item"]) -> Float[Tensor, "sample example"]:
        prompts, needed = self.prompts[batch], needs(self.metric)
        how = {"read": needed.reads, "grad": True, "logits": needed.last}
        trace = self.paths[batch].run(prompts.clean, self.table(mask), **how)
        return minus(self.metric, trace, prompts, len(mask))

    def circuit(self, score: Float[Tensor, " item"]) -> Circuit:
        return self.graph.circuit(self.table(score[None])[0]).with_kind(in_metric_units=False)
