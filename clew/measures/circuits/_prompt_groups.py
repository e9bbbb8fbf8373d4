"""One search in two models on disjoint groups of the prompts: what the groups agree on is no accident of the prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.measures.circuits._overlap import (
    Ids,
    alike,
    jaccard,
    node_ids,
    on_union,
    spread,
    strongest,
    usable,
)
from clew.measures.circuits._rerun import Rerun
from clew.models import Model
from clew.report import Row, bootstrap, members_of
from clew.statistics.ranks import spearman

FLIPS = 1000
"""Random signs behind a p."""
CHUNK = 10_000
"""Nodes whose flipped changes are held at once."""


@dataclass(frozen=True)
class PromptGroups:
    """Scores of every node in a parent and its child, by group of prompts."""

    circuits: Sequence[Circuit]
    """What was found: the parent's, group by group, then the child's."""
    prompts: Int[np.ndarray, " group"]
    """How many prompts each group has."""
    ids: Ids
    """[node] every node of any of the circuits."""
    score: Float[np.ndarray, "model group node"]
    """Of the parent and of the child; 0 where a circuit does not hold the node."""
    seed: int

    @classmethod
    def run(
        cls, search: Rerun, models: tuple[Model, Model], on: Behaviour, groups: int, like: Circuit, seed: int
    ) -> PromptGroups:
        """Deal the prompts at random, copies of one together, and search. Raises: ValueError for less than one group."""
        if groups < 1:
            raise ValueError(f"groups={groups}: the prompts are dealt into groups, at least 1")
        copies = members_of(on.asked())
        order = [copies[i] for i in np.random.default_rng(seed).permutation(len(copies))]
        bounds = np.array_split(np.arange(len(order)), min(groups, len(order)))
        dealt = [np.concatenate([order[i] for i in some]) for some in bounds]
        parts = [replace(on, pairs=tuple(on.pairs[i] for i in np.sort(g)), split=len(g)) for g in dealt]
        circuits = alike([search(model, part) for model in models for part in parts], like)
        ids, table = on_union(node_ids(circuits), [c.score for c in circuits])
        return cls(circuits, np.array([len(g) for g in dealt]), ids, table.reshape(2, len(dealt), len(ids)), seed)

    def notes(self, parent: Circuit) -> Iterator[str]:
        """Whether the groups say of the parent's scores what all prompts do, and how small a p can be."""
        *ids, theirs = node_ids([*self.circuits, parent])
        _, (mean, whole) = on_union([np.unique(np.concatenate(ids)), theirs], [self._mean(0), parent.score])
        yield f"searched on {self.prompts.sum()} prompts, in all and in {len(self.prompts)} groups"
        if not np.allclose(mean, whole, rtol=0, atol=0.01 * np.abs(whole).max(initial=0)):
            yield "scores on all prompts are not the mean over groups; changes, p and halves are of the mean"
        if len(self.prompts) < 6:
            yield f"with {len(self.prompts)} groups no p can be below {2.0 ** (1 - len(self.prompts)):.2g}; give more prompts"

    def halves(self, sizes: Sequence[int], of: str, *, splits: int = 20) -> Iterator[Row]:
        """Overlap and correlation of the parent on half of the groups with parent, and child, on the other half."""
        groups, random = len(self.prompts), np.random.default_rng(self.seed)
        if groups < 2:
            return
        orders = [random.permutation(groups) for _ in range(splits)]
        ones = [self._mean(0, order[: groups // 2]) for order in orders]
        for which, name in enumerate(("parent", of)):
            others = [self._mean(which, order[groups // 2 :]) for order in orders]
            what = f"halves, parent with {name}"
            for n in usable(sizes, len(self.ids)):
                tops = [[strongest(self.ids, score, n) for score in pair] for pair in zip(ones, others, strict=True)]
                overlaps = [jaccard(*pair) for pair in tops]
                yield Row("overlap", float(np.mean(overlaps)), *spread(overlaps), what, n, splits)
            correlations = [spearman(*pair) for pair in zip(ones, others, strict=True)]
            mean = float(np.mean(correlations))
            yield Row("correlation", mean, *spread(correlations), what, len(self.ids), splits)

    def changes(self, shown: int, of: str) -> Iterator[Row]:
        """How many nodes changed, and those that lost and gained the most, each with its interval and its p."""
        change = self._mean(1) - self._mean(0)
        p, prompts = self._p(change), int(self.prompts.sum())
        yield Row("changed nodes", float((p < 0.05).sum()), float("nan"), float("nan"), of, len(change), prompts)
        order = np.argsort(change, kind="stable")
        for what, nodes in (("lost", order[:shown]), ("gained", order[::-1][:shown])):
            for i in nodes[change[nodes] < 0 if what == "lost" else change[nodes] > 0]:
                address = self._address(int(i))
                yield Row(what, float(change[i]), *self._interval(self._change[:, i]), address, None, prompts)
                yield Row("p", float(p[i]), float("nan"), float("nan"), address, None, prompts)

    def layers(self, of: str) -> Iterator[Row]:
        """The change summed over the nodes of each layer."""
        sites = list(dict.fromkeys(s for c in self.circuits for s in c.sites))
        names = [s.part if s.layer is None else f"layer {s.layer}" for s in sites]
        named = np.concatenate([np.array([names[sites.index(s)] for s in c.sites])[c.site] for c in self.circuits])
        name_of = named[self._first]
        for name in dict.fromkeys(names):
            here = name_of == name
            if here.any():
                summed = self._change[:, here].sum(1)
                value = float(np.average(summed, weights=self.prompts))
                ends = self._interval(summed)
                yield Row("change", value, *ends, f"{of}, {name}", int(here.sum()), int(self.prompts.sum()))

    def _mean(self, which: int, groups: np.ndarray | slice = slice(None)) -> Float[np.ndarray, " node"]:
        """Scores over the prompts of some groups."""
        return np.average(self.score[which, groups], axis=0, weights=self.prompts[groups])

    @property
    def _change(self) -> Float[np.ndarray, "group node"]:
        return self.score[1] - self.score[0]

    @property
    def _first(self) -> Int[np.ndarray, " node"]:
        """Where each node first stands in the circuits, one after the other."""
        return np.unique(np.concatenate(node_ids(self.circuits)), return_index=True)[1]

    def _address(self, node: int) -> str:
        place = int(self._first[node])
        for circuit in self.circuits:
            if place < len(circuit):
                found = circuit.keep(np.array([place])).nodes[0]
                return f"{found.address} {found.label}".strip()
            place -= len(circuit)
        raise AssertionError("every node stands in a circuit")

    def _interval(self, change: Float[np.ndarray, " group"]) -> tuple[float, float]:
        """Of the mean change over prompts, by drawing groups anew."""
        weighted, prompts = change * self.prompts, self.prompts
        return bootstrap(lambda i: float(weighted[i].sum() / prompts[i].sum()), len(change), seed=self.seed)

    def _p(self, change: Float[np.ndarray, " node"]) -> Float[np.ndarray, " node"]:
        """How often, parent and child exchanged at random in each group, any node changes as much as this one did."""
        weighted = self._change * (self.prompts / self.prompts.sum())[:, None]
        signs = np.random.default_rng(self.seed).choice([-1.0, 1.0], (FLIPS, len(weighted)))
        largest = np.zeros(FLIPS)
        for start in range(0, weighted.shape[1], CHUNK):
            largest = np.maximum(largest, np.abs(signs @ weighted[:, start : start + CHUNK]).max(1))
        as_much = FLIPS - np.searchsorted(np.sort(largest), np.abs(change) * (1 - 1e-9))
        return (1 + as_much) / (1 + FLIPS)
