"""Paths between features: what flows when every edge outside a circuit hands on the ablated value.

Site by site in forward order, a node of the circuit takes the value that it gets where the sites it reads hold the
nodes that an edge joins to it, at the values these took, and everything else ablated; the metric is read last, in the
same way. Values are kept for the circuit's own nodes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from clew.changes import ActivationEdit, Set
from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.data.behaviours.metrics import measured, needs
from clew.dictionaries import Dictionary
from clew.measures.circuits._nodes import NodeTrial
from clew.models import Model, Trace
from clew.models.trace import as_read
from clew.readings.contrast import batch_tokens, check_fits
from clew.scale.budget import at_once
from clew.sites import Site

Instead = Callable[[Site], tuple[Tensor | float, Tensor | float]]
"""What the code and the error of a site become where they are ablated."""


class FeaturePaths:
    """Any edges between the nodes of one circuit, measured on the prompts and with the ablation of a trial of nodes."""

    def __init__(self, trial: NodeTrial, circuit: Circuit, *, tokens: int) -> None:
        lengths = {b.clean.shape[1] for b in trial.batches}
        check_fits(trial.model, circuit, lengths)
        placed = circuit.position != ANYWHERE
        if placed.any() and not placed.all():
            raise ValueError("some nodes have a position and some stand for all; keep one kind, or use .everywhere()")
        self.trial, self.model, self.circuit = trial, trial.model, circuit
        self.tokens = min(tokens, batch_tokens(trial.model))
        self.reads = what_is_read(trial.model, trial.behaviour, trial.sites)
        """By site (None: the metric): the sites it reads, and whether at its own position alone."""
        wide = torch.promote_types(trial.model.body.dtype, torch.float32)
        like = torch.zeros((), device=trial.model.device, dtype=wide)
        self.columns = {s: Columns(trial.model.dictionaries[s], circuit.unit[self.nodes(s)], like) for s in trial.sites}
        self.last = max(lengths) - 1 if placed.any() else ANYWHERE
        self.passes = 0.0
        """Copies of all prompts that were run so far, each from the lowest site that it reads."""
        self._check_edges()

    def nodes(self, site: Site) -> Int[np.ndarray, " node"]:
        """Indices of the circuit's nodes at a site."""
        sites = self.circuit.sites
        return np.flatnonzero(self.circuit.site == sites.index(site)) if site in sites else np.zeros(0, np.int64)

    def every_edge(self) -> Circuit:
        """The nodes with an edge from each to each that reads it, and to the metric where that does; weights are 1."""
        c, sources, targets = self.circuit, [], []
        position = np.append(c.position, self.last)  # the last entry is OUTPUT seen as index -1
        for target, read in self.reads.items():
            ends = np.array([OUTPUT]) if target is None else self.nodes(target)
            for leaf, local in read.items():
                starts = self.nodes(leaf)
                here, there = position[starts][:, None], position[ends]
                start, end = (here == there if local else here <= there).nonzero()
                sources.append(starts[start])
                targets.append(ends[end])
        source, target = np.concatenate(sources), np.concatenate(targets)
        return replace(c, source=source, target=target, weight=np.ones(len(source)), weight_error=np.zeros(0))

    def _check_edges(self) -> None:
        """Raises: ValueError for an edge between nodes of which neither reads the other."""
        mine, every = ((c.source * (len(c) + 1) + c.target) for c in (self.circuit, self.every_edge()))
        wrong = np.flatnonzero(~np.isin(mine, every))
        if len(wrong):
            ends = [*(node.address for node in self.circuit), "the metric"]
            start, end = (ends[side[wrong[0]]] for side in (self.circuit.source, self.circuit.target))
            raise ValueError(
                f"the circuit has an edge from {start} to {end}, which does not read it but through other sites of the "
                "view; wire the nodes in this view, with find(model, behaviour, circuit, by='edges')"
            )

    def circuit_metric(self, wired: Circuit) -> np.ndarray:
        """Metric of every prompt with only these edges in place. Args: wired: the same nodes, with any edges."""
        live = reaching(wired)
        values = [
            self._of_batch(wired, live, batch, partial(self.trial.instead, batch, other))
            for batch, other in zip(self.trial.batches, self.trial.other, strict=True)
        ]
        return torch.cat(values).cpu().double().numpy()

    def _of_batch(
        self, wired: Circuit, live: Bool[np.ndarray, " node"], batch: Batch, instead: Instead
    ) -> Float[Tensor, " example"]:
        share = len(batch) / len(self.trial.whole)
        base = self.model.run(batch.clean, logits=1, record=True) if self.model.body.resumes else None
        held = {s: Held(self.model.dictionaries[s], self.columns[s], batch, *instead(s)) for s in self.trial.sites}
        for site, state in held.items():
            nodes = self.nodes(site)[live[self.nodes(site)]]
            seat = self._seats(wired, nodes, site)
            at_once = max(1, self.tokens // batch.clean.numel())
            for first in range(0, int(seat.max(initial=-1)) + 1, at_once):
                some = (seat >= first) & (seat < first + at_once)
                chosen, seats = nodes[some], seat[some] - first
                copies = int(seats.max()) + 1
                sent = np.full(len(wired), -1)
                sent[chosen] = seats
                edits = list(self._edits(wired, held, site, np.append(sent, -1), copies))  # the last one: OUTPUT
                reads = (state.dictionary.reads, site)
                run = self.model.run(batch.clean.repeat(copies, 1), read=reads, edits=edits, logits=0, base=base)
                state.take(run, state.table(wired, chosen, seats, copies))
                self.passes += copies * share
        only_output = np.append(np.full(len(wired), -1), 0)
        edits = list(self._edits(wired, held, None, only_output, 1))
        metric = self.trial.behaviour.metric
        run = self.model.run(batch.clean, read=needs(metric).reads, edits=edits, logits=needs(metric).last, base=base)
        self.passes += share
        return measured(metric, run, batch).detach()

    def _edits(
        self,
        wired: Circuit,
        held: dict[Site, Held],
        site: Site | None,
        sent: Int[np.ndarray, " node_and_output"],
        copies: int,
    ) -> Iterator[ActivationEdit]:
        """Sets the sites that a site reads. Args: sent: the copy in which each node, and the metric, takes its value."""
        copy, sites = sent[wired.target], wired.site[wired.source]
        for leaf in self.reads[site]:
            index = wired.sites.index(leaf) if leaf in wired.sites else OUTPUT
            edge = np.flatnonzero((copy >= 0) & (sites == index))
            table = held[leaf].table(wired, wired.source[edge], copy[edge], copies)
            yield Set(leaf, value=held[leaf].value(table))

    def _seats(self, wired: Circuit, nodes: Int[np.ndarray, " some"], site: Site) -> Int[np.ndarray, " some"]:
        """The copy of the batch in which each node takes its value.

        Nodes that read the same share one; where no attention lies between, so do nodes at different positions.
        """
        local = all(self.reads[site].values())
        order = np.lexsort((wired.source, wired.target))
        first, past = (np.searchsorted(wired.target[order], nodes, side=s) for s in ("left", "right"))
        used: Counter[int] = Counter()
        seats: dict[tuple[int, bytes], int] = {}
        out = np.empty(len(nodes), np.int64)
        for i, node in enumerate(nodes):
            place = int(wired.position[node]) if local else ANYWHERE
            key = (place, wired.source[order[first[i] : past[i]]].tobytes())
            if key not in seats:
                seats[key] = used[place]
                used[place] += 1
            out[i] = seats[key]
        return out


class Columns:
    """Where the units of some nodes of a site stand in its code, and what each adds to the site."""

    def __init__(self, dictionary: Dictionary, unit: Int[np.ndarray, " node"], like: Float[Tensor, ""]) -> None:
        self.units = np.unique(unit[unit != ERROR])
        owner = dictionary.unfold(torch.arange(dictionary.n_units, device=like.device))
        wanted = torch.from_numpy(self.units).to(like.device)
        self.n_code = len(owner)
        self.coordinates: Int[Tensor, " coordinate"] = torch.isin(owner, wanted).nonzero()[:, 0]
        self.column: Int[Tensor, " coordinate"] = torch.searchsorted(wanted, owner[self.coordinates])
        chunks = self.coordinates.split(at_once(self.n_code, copies=8, most=len(self.coordinates) or 1))
        rows = [dictionary.write(one_hot(chunk, self.n_code).to(as_read(like, dictionary))) for chunk in chunks]
        self.rows: Float[Tensor, "coordinate d_out"] = torch.cat(rows)


class Held:
    """One site on one batch: ablated, and how far from that the circuit's nodes are that took their value."""

    def __init__(
        self, dictionary: Dictionary, columns: Columns, batch: Batch, code: Tensor | float, error: Tensor | float
    ) -> None:
        self.dictionary, self.columns = dictionary, columns
        shape, like = batch.clean.shape, columns.rows
        whole = torch.as_tensor(code, device=like.device).to(like.dtype)
        whole = whole.expand(columns.n_code) if not whole.ndim else whole
        self.error = torch.as_tensor(error, device=like.device).to(like.dtype)
        self.ablated = (dictionary.decode(whole) + self.error).expand(*shape, -1)
        self.code = whole[..., columns.coordinates]
        self.moved = like.new_zeros(*shape, len(columns.coordinates))
        self.left: Tensor | None = None
        """Of the error, where its node took a value."""

    def table(
        self, circuit: Circuit, nodes: Int[np.ndarray, " node"], seat: Int[np.ndarray, " node"], copies: int
    ) -> Bool[Tensor, "copy seq column"]:
        """Which units (the last column: the error) are meant at which position of which copy."""
        units, where = self.columns.units, circuit.position[nodes]
        table = np.zeros((copies, self.ablated.shape[1], len(units) + 1), bool)
        unit = circuit.unit[nodes]
        column = np.where(unit == ERROR, len(units), np.searchsorted(units, unit))
        every = where == ANYWHERE
        table[seat[every], :, column[every]] = True
        table[seat[~every], where[~every], column[~every]] = True
        return torch.from_numpy(table).to(self.ablated.device)

    def value(self, table: Bool[Tensor, "copy seq column"]) -> Float[Tensor, "copies seq d_out"]:
        """What flows here, in every copy, when these nodes hold their values and all else is ablated."""
        here = table[:, None][..., self.columns.column]
        value = self.ablated + (here * self.moved) @ self.columns.rows
        if self.left is not None:
            value = value + table[:, None, :, -1:] * self.left
        return value.flatten(0, 1)

    def take(self, run: Trace, table: Bool[Tensor, "copy seq column"]) -> None:
        """Let these nodes hold what they are in this run."""
        site = self.dictionary.writes
        code = run.code(site)
        apart = lambda x: x.unflatten(0, (len(table), -1))  # noqa: E731
        moved = apart(code[..., self.columns.coordinates]).to(self.moved) - self.code
        self.moved += (table[:, None][..., self.columns.column] * moved).sum(0)
        if bool(table[..., -1].any()):
            error = apart(as_read(run[site], self.dictionary) - self.dictionary.decode(code)) - self.error
            left = (table[:, None, :, -1:] * error).sum(0)
            self.left = left if self.left is None else self.left + left


def what_is_read(model: Model, behaviour: Behaviour, sites: list[Site]) -> dict[Site | None, dict[Site, bool]]:
    """By site of a view (None: the metric): each site it reads with no other between, and whether at its own position alone.

    A view site is a leaf of a cut run, so what its values reach is found by one backward pass from each site.
    """
    batch = next(behaviour.first(1).batches(model))
    reads = behaviour.needs.reads
    run = model.run(batch.clean, read=reads, leaves=True, logits=behaviour.needs.last)
    assert run.logits is not None
    ends: dict[Site | None, list[Tensor]] = {None: [behaviour.measured(run, batch) if reads else run.logits[:, -1]]}
    for site in sites:
        dictionary = model.dictionaries[site]
        ends[site] = [run.arrived[site][:, -1]]
        if dictionary.spans_sites:  # what it reads may be a view site itself, and then it is a leaf
            ends[site].append(run.values[dictionary.reads][:, -1])
    found: dict[Site | None, dict[Site, bool]] = {}
    generator = torch.Generator().manual_seed(0)
    for site, outputs in ends.items():
        tied = [x for x in outputs if x.requires_grad]
        any_way = [torch.randn(x.shape, generator=generator).to(x) for x in tied]
        leaves = [run.values[s] for s in sites]
        grads = torch.autograd.grad(tied, leaves, any_way, retain_graph=True, allow_unused=True) if tied else []
        found[site] = {
            s: not bool(g[:, :-1].any()) for s, g in zip(sites, grads, strict=False) if g is not None and s != site
        }
    return found


def reaching(circuit: Circuit) -> Bool[np.ndarray, " node"]:
    """The nodes from which edges lead to the metric; no other has any influence on it."""
    live = np.append(np.zeros(len(circuit), bool), True)  # the last entry is OUTPUT seen as index -1
    count = 0
    while live.sum() > count:
        count = live.sum()
        live[circuit.source[live[circuit.target]]] = True
    return live[:-1]
