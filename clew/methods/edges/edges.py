"""Edges: how much of a node's effect comes through each node that its site reads.

weight(u -> d) = [d / du of G_d . s_d] (other_u - clean_u), where s_d is the state of node d, G_d the gradient
that gave its effect, and the derivative is taken at the clean run with every site of the view between u and d held
still. Source: Marks et al. 2024 (arXiv:2403.19647), eq. 5 and appendix A; G_d is averaged along the path as in
the reference implementation, and error nodes send edges as well as receive them (there they are exactly 0).

How it is done: one clean run in which every view site is cut, so that it becomes a leaf; then the gradient
of G_d . s_d reaches exactly the leaves that d reads. Examples are independent, so one backward pass serves one row
of every example; where no attention lies between, positions are too, and it serves one row of every
position. Several copies of the batch are run side by side, and all rows are contracted by matrix products.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.dictionaries import Dictionary
from clew.finder import load
from clew.methods._nodes import Gradients, clean_run, effects
from clew.models import Model
from clew.models.trace import as_read
from clew.progress import Tell
from clew.readings.contrast import Baseline, Contrast, State, check_fits, found_with
from clew.sites import Site

MOST = 20_000
"""More nodes than this have too many pairs for one table."""


def edges(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    gradient: str | None = None,
    threshold: float = 0.0,
    baseline: Baseline | None = None,
    examples: int | None = 32,
    tokens: int = 1024,
    seed: int | None = None,
    progress: Tell | None = None,
) -> Circuit:
    """The circuit with an edge between any two of its nodes of which one reads the other.

    Args:
        gradient: the method whose gradients weigh the downstream node; the one that found the circuit, with its
            options, by default, and attribution patching where that has none (exact patching).
        threshold: leave out a downstream node in an example, and at a position, where its own |effect| is not
            above this. The reference implementation uses its node threshold here; 0 keeps all.
        baseline: the other state of the sources; that of the circuit by default. seed: for resample, likewise.
        examples: use this many examples of the behaviour (all when None).
        tokens: size of the batch in which copies of the examples are run side by side.
        progress: told after each site of a batch.

    Returns: the circuit with edges, all else as it was; the weights into a node add up to the part of its effect that
    comes through the circuit. Edges into the metric carry what reaches it without passing another site of the view: a
    node's whole effect on these examples where no other site of the view reads its own.
    Raises: ValueError for a circuit of another view or of prompts of another length, or more than 20,000 nodes.
    """
    if len(circuit) > MOST:
        raise ValueError(f"{len(circuit)} nodes have too many pairs to wire; take circuit.top({MOST}) or fewer")
    made = circuit.provenance.get("options", {})
    some = behaviour if examples is None else behaviour.first(examples)
    drawn_by = made.get("seed", 0) if seed is None else seed
    contrast = Contrast(model, some, baseline or found_with(circuit), seed=drawn_by, progress=progress)
    check_fits(model, circuit, {b.clean.shape[1] for b in contrast.batches})
    gradients = _gradients(gradient or circuit.provenance.get("method", "attribution_patching"), gradient is None, made)
    weight = np.zeros((len(circuit), len(circuit) + 1))  # the last column is the metric
    for batch in contrast.loops.over(contrast.batches):
        with contrast.loops.part(0, 2):
            wiring = Wiring(contrast, batch, gradients, tokens)
        with contrast.loops.part(1, 2):
            _wire(wiring, circuit, threshold, weight)
    weight /= sum(len(b.clean) for b in contrast.batches)
    source, target = np.nonzero(weight)
    strength = weight[source, target]
    into = np.where(target == len(circuit), OUTPUT, target)
    record = {**circuit.provenance, "wired": {}}
    return replace(circuit, source=source, target=into, weight=strength, weight_error=np.zeros(0), provenance=record)


def _gradients(method: str, made_it: bool, options: Mapping[str, Any]) -> Gradients:
    """The gradients of a method; with the options it was called with where it found the circuit."""
    file = sys.modules[load("methods", method).__module__]
    if not hasattr(file, "gradients"):
        if not made_it:
            raise ValueError(f"{method} has no gradients to weigh edges with; integrated_gradients has")
        file = sys.modules[load("methods", "attribution_patching").__module__]
    known = inspect.signature(file.gradients).parameters
    return partial(file.gradients, **{k: v for k, v in options.items() if made_it and k in known})


def _wire(wiring: Wiring, circuit: Circuit, threshold: float, weight: np.ndarray) -> None:
    """Add one batch's edges, [source, target or metric]."""
    placed, rows = bool((circuit.position != ANYWHERE).any()), {}
    for site in wiring.model.dictionaries:
        nodes = _nodes(circuit, site)
        if len(nodes):
            rows[site] = (
                nodes,
                *_rows(circuit, nodes, wiring.effect(site), threshold, placed, wiring.dictionary(site)),
            )
    wiring.seat([some for _, some, _ in rows.values()])
    for site, (targets, some, node) in wiring.contrast.loops.over(rows.items()):
        for chunk, leaf, grad, positions in wiring.pull_back(site, some):
            sources = _nodes(circuit, leaf)
            if len(sources):
                values = wiring.contract(leaf, grad, some[chunk], positions, circuit, sources, placed)
                np.add.at(weight, (sources[None, :], targets[node[chunk].cpu().numpy()][:, None]), values)
    read_on = wiring.read_on()
    for leaf, grad in wiring.into_the_metric().items():
        nodes = _nodes(circuit, leaf)
        if leaf in read_on:
            every = torch.arange(len(grad), device=grad.device)
            values = wiring.contract(
                leaf, grad, torch.stack([every, every, every], dim=1), None, circuit, nodes, placed
            )
        else:
            values = wiring.chosen(wiring.effect(leaf), circuit, nodes, placed)
        weight[nodes, -1] += values.sum(0)


def _nodes(circuit: Circuit, site: Site) -> np.ndarray:
    """Indices of the circuit's nodes at a site."""
    return np.flatnonzero(circuit.site == circuit.sites.index(site)) if site in circuit.sites else np.zeros(0, np.int64)


def _rows(
    circuit: Circuit, nodes: np.ndarray, effect: Tensor, threshold: float, placed: bool, dictionary: Dictionary
) -> tuple[Int[Tensor, "row 3"], Int[Tensor, " row"]]:
    """(example, position, unit or n_units for the error) of every row to pull back, and its index into `nodes`."""
    unit = torch.from_numpy(np.where(circuit.unit[nodes] == ERROR, dictionary.n_units, circuit.unit[nodes])).to(
        effect.device
    )
    large: Bool[Tensor, "example seq node"] = effect[..., unit].abs() > threshold
    if placed:
        seq = torch.arange(effect.shape[1], device=effect.device)[:, None]
        large = large & (seq == torch.from_numpy(circuit.position[nodes]).to(effect.device))
    example, position, node = large.nonzero(as_tuple=True)
    return torch.stack([example, position, unit[node]], dim=1), node


@dataclass
class Wiring:
    """The cut run of one batch, in as many copies as the token budget allows, and what is needed to pull rows back."""

    contrast: Contrast
    batch: Batch
    gradients: Gradients
    tokens: int = 1024

    def __post_init__(self) -> None:
        self.model: Model = self.contrast.model
        self.clean = clean_run(self.contrast, self.batch)
        self.other = self.contrast.other(self.batch)
        self.grads = self.gradients(self.contrast, self.batch, self.clean, self.other)
        self._delta: dict[Site, State] = {}
        self.copies, self.cut = 0, self.clean

    def seat(self, rows: Sequence[Int[Tensor, "_ 3"]]) -> None:
        """Make the cut run, in as many copies as these rows can use and the budget allows."""
        wanted = max((int(_turn(r[:, 0]).max()) + 1 for r in rows if len(r)), default=1)
        self.copies = max(1, min(wanted, self.tokens // self.batch.clean.numel()))
        reads = self.contrast.behaviour.needs.reads
        self.cut = self.model.run(self.batch.repeat(self.copies).clean, leaves=True, read=reads, logits=1)

    def dictionary(self, site: Site) -> Dictionary:
        return self.model.dictionaries[site]

    def effect(self, site: Site) -> Float[Tensor, "example seq unit_and_error"]:
        """Per-example effect of every node at a site."""
        return effects(self.contrast, self.clean, self.other, site, self.grads[site]).effect

    def delta(self, site: Site) -> State:
        """other - clean of a site, kept for the rows that follow."""
        if site not in self._delta:
            here, there = self.contrast.states(self.clean, self.other, site)
            self._delta[site] = State(there.code - here.code, there.error - here.error)
        return self._delta[site]

    def pull_back(
        self, site: Site, rows: Int[Tensor, "row 3"]
    ) -> Iterator[tuple[Int[Tensor, " chunk"], Site, Float[Tensor, "chunk seq d"], Int[Tensor, " chunk"] | None]]:
        """Gradients of G_d . s_d at every leaf that the rows' site reads.

        Yields: (which rows, the leaf's site, gradient there, and the rows' position where only that one can be
        reached, [chunk, 1, d] then; else None and all positions).
        """
        leaves = [s for s in self.model.dictionaries if s < site]
        if not leaves or not len(rows):
            return
        local = not mixes_positions(self.model, site)
        examples = len(self.batch.clean)
        seats = rows[:, 0] * self.batch.clean.shape[1] + rows[:, 1] if local else rows[:, 0]
        turn = _turn(seats)
        dictionary = self.dictionary(site)
        for first in range(0, int(turn.max()) + 1, self.copies):
            chunk = ((turn >= first) & (turn < first + self.copies)).nonzero()[:, 0]
            at = (turn[chunk] - first) * examples + rows[chunk, 0]
            outputs, cotangents = [], []
            for end, cotangent in self._cotangents(site, dictionary, rows[chunk]):
                # What a transcoder reads may be a view site itself, and then it is a leaf.
                arrived = self.cut.arrived[end] if end == site else self.cut.values[end]
                if arrived.requires_grad:
                    full = torch.zeros_like(arrived).index_put(
                        (at, rows[chunk, 1]), cotangent.to(arrived.dtype), accumulate=True
                    )
                    outputs.append(arrived)
                    cotangents.append(full)
            if not outputs:
                return
            grads = torch.autograd.grad(
                outputs, [self.cut.values[s] for s in leaves], cotangents, retain_graph=True, allow_unused=True
            )
            for leaf, grad in zip(leaves, grads, strict=True):
                if grad is None:
                    continue
                yield (
                    chunk,
                    leaf,
                    (grad[at, rows[chunk, 1]].unsqueeze(1) if local else grad[at]),
                    rows[chunk, 1] if local else None,
                )

    def _cotangents(
        self, site: Site, dictionary: Dictionary, rows: Int[Tensor, "row 3"]
    ) -> Iterator[tuple[Site, Float[Tensor, "row d"]]]:
        """d (G_d . s_d) with respect to what arrives at the sites of the dictionary."""
        example, position, unit = rows.T
        grad = as_read(self.grads[site][example, position], dictionary)
        is_error = unit == dictionary.n_units
        if dictionary.exact and not dictionary.spans_sites:
            one = torch.nn.functional.one_hot(unit.clamp(max=dictionary.n_units - 1), dictionary.n_units).to(grad.dtype)
            yield site, dictionary.pull(grad) * dictionary.unfold(one)
            return
        read = as_read(self.clean[dictionary.reads][example, position].detach(), dictionary).requires_grad_()
        with torch.enable_grad():
            code = dictionary.encode(read)
            one = torch.nn.functional.one_hot(unit, dictionary.n_units + 1)[:, :-1].to(grad.dtype)
            seen = (code * dictionary.unfold(one) * dictionary.pull(grad)).sum()
            missed = -(dictionary.decode(code) * grad * is_error[:, None]).sum()
            (through_code,) = torch.autograd.grad(seen + missed, read)
        if dictionary.spans_sites:
            yield dictionary.reads, through_code
            yield site, grad * is_error[:, None]
        else:
            yield site, through_code + grad * is_error[:, None]

    def contract(
        self,
        leaf: Site,
        grad: Float[Tensor, "row seq d"],
        rows: Int[Tensor, "row 3"],
        positions: Tensor | None,
        circuit: Circuit,
        sources: np.ndarray,
        placed: bool,
    ) -> np.ndarray:
        """Weights [row, source] of edges from the circuit's nodes at a leaf."""
        values = self.all_weights(leaf, grad, rows, positions)
        if not placed or positions is None:
            return self.chosen(values, circuit, sources, placed)
        wanted = torch.from_numpy(circuit.position[sources]).to(values.device)
        at = values[:, 0, self._columns(circuit, sources, values)] * (positions[:, None] == wanted)
        return at.cpu().double().numpy()

    def chosen(
        self, values: Float[Tensor, "row seq unit_and_error"], circuit: Circuit, nodes: np.ndarray, placed: bool
    ) -> np.ndarray:
        """What some nodes of one site have of the values of all its nodes, [row, node]: where they stand, or everywhere."""
        columns = self._columns(circuit, nodes, values)
        if not placed:
            return values[..., columns].sum(1).cpu().double().numpy()
        at = torch.from_numpy(circuit.position[nodes]).to(values.device)
        return values[:, at, columns].cpu().double().numpy()

    def _columns(self, circuit: Circuit, nodes: np.ndarray, values: Tensor) -> Int[Tensor, " node"]:
        unit = np.where(circuit.unit[nodes] == ERROR, values.shape[-1] - 1, circuit.unit[nodes])
        return torch.from_numpy(unit).to(values.device)

    def all_weights(
        self, leaf: Site, grad: Float[Tensor, "row seq d"], rows: Int[Tensor, "row 3"], positions: Tensor | None
    ) -> Float[Tensor, "row seq unit_and_error"]:
        """Weights of edges from every node at a leaf to the rows: (gradient . decoder row) (other - clean)."""
        dictionary, delta = self.dictionary(leaf), self.delta(leaf)
        at = (rows[:, 0],) if positions is None else (rows[:, 0], positions)
        code, error = delta.code[at], delta.error[at]
        if positions is not None:
            code, error = code[:, None], error[:, None]
        grad = grad.to(code.dtype)
        units = dictionary.fold(dictionary.pull(grad) * code)
        return torch.cat([units, (grad * error).sum(-1, keepdim=True)], dim=-1)

    def read_on(self) -> set[Site]:
        """The sites that another site of the view reads, be there nodes of the circuit or not."""
        leaves, cut = list(self.model.dictionaries), self.cut
        through = (cut.values[d.reads] for site, d in self.model.dictionaries.items() if d.reads != site)
        reached = _leaves_of([*(cut.arrived[site] for site in leaves), *through])
        return {site for site in leaves if id(cut.values[site]) in reached}

    def into_the_metric(self) -> dict[Site, Float[Tensor, "example seq d"]]:
        """d loss / d value at every site that the metric reads without another view site in between."""
        loss = -self.contrast.behaviour.measured(self.cut, self.batch.repeat(self.copies)).sum()
        leaves = list(self.model.dictionaries)
        grads = torch.autograd.grad(loss, [self.cut.values[s] for s in leaves], allow_unused=True, retain_graph=True)
        examples = len(self.batch.clean)
        return {s: g[:examples] for s, g in zip(leaves, grads, strict=True) if g is not None}


def _leaves_of(values: Sequence[Tensor]) -> set[int]:
    """The ids of the leaves that values were computed from, by the graph alone: no gradient is computed."""
    found: set[int] = {id(x) for x in values if x.requires_grad and x.grad_fn is None}
    steps: list[Any] = [x.grad_fn for x in values if x.grad_fn is not None]
    seen = set(steps)
    while steps:
        step = steps.pop()
        if hasattr(step, "variable"):
            found.add(id(step.variable))
        new = {before for before, _ in step.next_functions if before is not None} - seen
        seen |= new
        steps += new
    return found


def _turn(seats: Int[Tensor, " row"]) -> Int[Tensor, " row"]:
    """For each row, how many earlier rows want the same seat: rows of one turn can share a backward pass."""
    order = torch.argsort(seats, stable=True)
    starts = torch.ones_like(seats, dtype=torch.bool)
    starts[1:] = seats[order][1:] != seats[order][:-1]
    index = torch.arange(len(seats), device=seats.device)
    first = torch.where(starts, index, torch.zeros_like(index)).cummax(0).values
    turn = torch.empty_like(seats)
    turn[order] = index - first
    return turn


def mixes_positions(model: Model, site: Site) -> bool:
    """Whether attention that no view site cuts lies between a site and the leaves it reads."""
    view = set(model.dictionaries)
    layer = model.n_layers - 1 if site.layer is None else site.layer
    below = [s.layer for s in view if s.part == "resid" and s < site]
    first = max((b for b in below if b is not None), default=-1) + 1

    def held(i: int) -> bool:
        return Site("attn", i) in view or Site("head", i) in view

    if site.part in ("pattern", "head") or (site.part == "attn" and Site("head", layer) not in view):
        return True
    after_attention = site.part in ("resid", "final") or (
        site.part in ("mlp_in", "neuron", "mlp") and not model.body.parallel
    )
    return any(not held(i) for i in range(first, layer)) or (after_attention and first <= layer and not held(layer))
