"""Swaps: a circuit's nodes on some prompts, with the values they have, and runs in which they hold others."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from clew.changes import Set
from clew.circuits.circuit import ANYWHERE, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.data.behaviours.metrics import measured, needs
from clew.models import Model
from clew.readings.contrast import Baseline, Contrast, check_fits
from clew.sites import Site


class Swaps:
    """The circuit's nodes on one half of a behaviour: their values, their other values, their effects."""

    def __init__(
        self, model: Model, behaviour: Behaviour, nodes: Circuit, baseline: Baseline | None, seed: int
    ) -> None:
        self.contrast = Contrast(model, behaviour, baseline, seed=seed)
        check_fits(model, nodes, {len(b.clean[0]) for b in self.contrast.batches})
        self.model, self.metric, self.nodes = model, behaviour.metric, nodes
        self.reads = needs(self.metric).reads
        self.values: list[list[Tensor]] = []
        """By batch and node: its value on the clean prompts, [example, seq, coordinate]; one position where it has one."""
        self.others: list[list[Tensor]] = []
        self.effects: list[np.ndarray] = []
        """By batch: each node's effect on each prompt to first order, [example, node]."""
        self._widths: dict[Site, int] = {}
        self._columns = [self._coordinates(i) for i in range(len(nodes))]
        self.whole = np.concatenate([self._look(batch) for batch in self.contrast.batches])
        """The metric of every prompt, [example]."""

    @cached_property
    def asked(self) -> list[tuple[int, ...]]:
        """[example] the clean prompt, by which copies of one prompt are known."""
        return [tuple(row) for batch in self.contrast.batches for row in batch.clean.tolist()]

    def _look(self, batch: Batch) -> np.ndarray:
        """Record one batch; returns its metric."""
        clean = self.model.run(
            batch.clean, read=[*self.contrast.sites, *self.reads], grad=True, logits=needs(self.metric).last
        )
        other = self.contrast.other(batch)
        metric = measured(self.metric, clean, batch)
        grads = clean.gradients(-metric.sum())
        values, others, effects = [], [], []
        states, pulled = {}, {}
        for i in range(len(self.nodes)):
            site = self.nodes.sites[self.nodes.site[i]]
            if site not in states:
                here, there = self.contrast.states(clean, other, site)
                states[site] = here.code, there.code
                pulled[site] = self.model.dictionaries[site].pull(grads[site].to(here.code.dtype))
            here, there, grad = (self._of(i, x) for x in (*states[site], pulled[site]))
            values.append(here)
            others.append(there)
            effects.append((grad * (there - here)).sum((1, 2)))
        self.values.append(values)
        self.others.append(others)
        self.effects.append(torch.stack(effects, dim=1).cpu().double().numpy())
        return metric.detach().cpu().double().numpy()

    def _of(self, node: int, code: Tensor) -> Tensor:
        """One node's part of a code."""
        part, position = code[..., self._columns[node]], int(self.nodes.position[node])
        return part if position == ANYWHERE else part[:, position : position + 1]

    def _coordinates(self, node: int) -> Tensor:
        """Which coordinates of the code at its site are this node's."""
        site = self.nodes.sites[self.nodes.site[node]]
        dictionary = self.model.dictionaries[site]
        owner = dictionary.unfold(torch.arange(dictionary.n_units, device=self.model.device))
        self._widths[site] = len(owner)
        return (owner == int(self.nodes.unit[node])).nonzero()[:, 0]

    def change(self, instead: Callable[[int], dict[int, Tensor]]) -> np.ndarray:
        """|change of the metric| of every prompt, with nodes held at the values that `instead(batch)` gives them."""
        return np.abs(self.drop(instead))

    def drop(self, instead: Callable[[int], dict[int, Tensor]]) -> np.ndarray:
        """How much the metric of every prompt falls, with nodes held at the values that `instead(batch)` gives them."""
        changed = []
        for b, batch in enumerate(self.contrast.batches):
            edits = self._edits(batch, instead(b))
            run = self.model.run(batch.clean, read=self.reads, edits=edits, logits=needs(self.metric).last)
            changed.append(measured(self.metric, run, batch).detach().cpu().double().numpy())
        return self.whole - np.concatenate(changed)

    def _edits(self, batch: Batch, held: dict[int, Tensor]) -> list[Set]:
        edits: dict[Site, tuple[Tensor, Tensor]] = {}
        for node, value in held.items():
            site = self.nodes.sites[self.nodes.site[node]]
            if site not in edits:
                code = value.new_zeros(*batch.clean.shape, self._widths[site])
                edits[site] = code, torch.ones(code.shape[1:], dtype=torch.bool, device=value.device)
            code, keep = edits[site]
            position = int(self.nodes.position[node])
            seq = slice(None) if position == ANYWHERE else slice(position, position + 1)
            code[:, seq, self._columns[node]] = value
            keep[seq, self._columns[node]] = False
        return [Set(site, value=code, keep=keep, basis="code") for site, (code, keep) in edits.items()]


def kept_share(resampled: np.ndarray, ablated: np.ndarray) -> float:
    """The share of the members' effect that a resampling leaves; nan where they have none."""
    return float(1 - resampled.sum() / ablated.sum()) if ablated.sum() > 1e-12 else float("nan")
