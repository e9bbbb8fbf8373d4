"""Edges: how much of a node's effect comes through each node that its site reads.

weight(u -> d) = [d / du of G_d . s_d] (other_u - clean_u), where s_d is the state of node d, G_d the gradient
that gave its effect, and the derivative is taken at the clean run with every site of the view between u and d held
still. Source: Marks et al. 2024 (arXiv:2403.19647), eq. 5 and appendix A; G_d is averaged along the path as in
the reference implementation, and error nodes send edges as well as receive them (there they are exactly 0).

How it is done: one clean run in which every view site is cut, so that it becomes a leaf; then the gradient
of G_d . s_d reaches exactly the leaves that d reads. Examples are independent, so one backward pass serves one row
of every example; where no attention lies between, positions are too, and it serves one row of every
position. Where a batch is small, several copies are run side by side; all rows are contracted by matrix products.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.dictionaries import Dictionary
from clew.dictionaries.sparse import Sparse, is_wide, pull_back
from clew.finder import load
from clew.methods._nodes import Gradients, effects, passes
from clew.models import Model
from clew.models.layout import Kind
from clew.models.trace import as_read
from clew.progress import Tell
from clew.readings.contrast import Baseline, Contrast, State, check_fits, found_with
from clew.sites import Site

MOST = 20_000
"""More nodes than this have too many pairs for one table."""
BESIDE, MUCH = {"cpu": 32}, 1024
"""What a pass costs beside its tokens, as so many tokens, by device; elsewhere, where kernels must be launched, much."""
READING: dict[str, Kind] = {
    **dict.fromkeys(("attn_in", "q", "k", "v"), "attn"),
    "mixer_in": "mixer",
    **dict.fromkeys(("mlp_in", "router", "expert", "neuron", "mlp_out", "mlp"), "mlp"),
}
"""Parts whose values follow, position by position, from what a part of the block reads, and that part."""


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
        tokens: the largest batch in which copies of the examples are run side by side.
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
    picked = {site: _units(circuit, site) for site, d in model.dictionaries.items() if is_wide(d)}
    for batch in contrast.loops.over(contrast.batches):
        with contrast.loops.part(0, 2):
            wiring = Wiring(contrast, batch, gradients, tokens, picked)
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
                *_rows(circuit, nodes, wiring, site, threshold, placed),
            )
    wiring.seat({site: some for site, (_, some, _) in rows.items()})
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
            values = wiring.chosen(leaf, wiring.effect(leaf), circuit, nodes, placed)
        weight[nodes, -1] += values.sum(0)


def _nodes(circuit: Circuit, site: Site) -> np.ndarray:
    """Indices of the circuit's nodes at a site."""
    return np.flatnonzero(circuit.site == circuit.sites.index(site)) if site in circuit.sites else np.zeros(0, np.int64)


def _units(circuit: Circuit, site: Site) -> Int[Tensor, " unit"]:
    """The units of a site that the circuit has, ascending."""
    unit = np.unique(circuit.unit[_nodes(circuit, site)])
    return torch.from_numpy(unit[unit != ERROR])


def _rows(
    circuit: Circuit, nodes: np.ndarray, wiring: Wiring, site: Site, threshold: float, placed: bool
) -> tuple[Int[Tensor, "row 3"], Int[Tensor, " row"]]:
    """(example, position, unit or n_units for the error) of every row to pull back, and its index into `nodes`."""
    effect, units = wiring.effect(site), wiring.dictionary(site).n_units
    unit = torch.from_numpy(np.where(circuit.unit[nodes] == ERROR, units, circuit.unit[nodes])).to(effect.device)
    large: Bool[Tensor, "example seq node"] = effect[..., wiring.columns(circuit, site, nodes)].abs() > threshold
    if placed:
        seq = torch.arange(effect.shape[1], device=effect.device)[:, None]
        large = large & (seq == torch.from_numpy(circuit.position[nodes]).to(effect.device))
    example, position, node = large.nonzero(as_tuple=True)
    return torch.stack([example, position, unit[node]], dim=1), node


@dataclass
class Wiring:
    """The cut run of one batch, also in several copies, and what is needed to pull rows back."""

    contrast: Contrast
    batch: Batch
    gradients: Gradients
    tokens: int = 1024
    picked: Mapping[Site, Int[Tensor, " unit"]] = field(default_factory=dict[Site, Tensor])
    """Of wide dictionaries the units that count, ascending; their codes and effects are told of these alone."""

    def __post_init__(self) -> None:
        self.model: Model = self.contrast.model
        had = passes(self.contrast, self.batch, self.gradients)
        self.clean, self.other, self.grads = had.clean, had.other, had.grads
        self._delta: dict[Site, State] = {}
        self._fires: dict[Site, Sparse] = {}
        self.copies, self.cut, self.once = 0, self.clean, self.clean

    def seat(self, rows: Mapping[Site, Int[Tensor, "_ 3"]]) -> None:
        """Make the cut run: once, up to the metric, and in so many copies as pull these rows back at the least cost."""
        turns = [int(self._turns(site, some).max()) + 1 for site, some in rows.items() if len(some)]
        self.copies = copies_for(turns, self.batch.clean.numel(), self.tokens, BESIDE.get(self.model.device.type, MUCH))
        several, needs = self.copies > 1, self.contrast.behaviour.needs
        resumes = several and "resume" not in self.model.body.refused
        keep = needs.last
        self.once = self.model.run(self.batch.clean, leaves=True, read=needs.reads, logits=keep, record=resumes)
        self.cut = self.once
        if several:
            copies = self.batch.clean.repeat(self.copies, 1)
            self.cut = self.model.run(copies, leaves=True, logits=0, base=self.once if resumes else None)

    def _turns(self, site: Site, rows: Int[Tensor, "row 3"]) -> Int[Tensor, " row"]:
        """Which rows can share a backward pass: one of each example, or of each position where none reaches another."""
        local = not mixes_positions(self.model, site)
        return _turn(rows[:, 0] * self.batch.clean.shape[1] + rows[:, 1] if local else rows[:, 0])

    def dictionary(self, site: Site) -> Dictionary:
        return self.model.dictionaries[site]

    def effect(self, site: Site) -> Float[Tensor, "example seq unit_and_error"]:
        """Per-example effect of every node at a site."""
        if site not in self.picked:
            return effects(self.contrast, self.clean, self.other, site, self.grads[site]).effect
        return self._times(site, self.grads[site], self.delta(site))

    def delta(self, site: Site) -> State:
        """other - clean of a site, kept for the rows that follow."""
        if site not in self._delta:
            if site in self.picked:
                unit = self.picked[site].to(self.clean.tokens.device)
                self._fires[site], here, there = self.contrast.picked(self.clean, self.other, site, unit)
            else:
                here, there = self.contrast.states(self.clean, self.other, site)
            self._delta[site] = State(there.code - here.code, there.error - here.error)
        return self._delta[site]

    def _times(self, site: Site, grad: Tensor, delta: State) -> Float[Tensor, "... unit_and_error"]:
        """(gradient . decoder row) (other - clean) of every unit that counts, and the error's."""
        dictionary, grad = self.dictionary(site), grad.to(delta.code.dtype)
        if site in self.picked:
            assert is_wide(dictionary)
            units = (grad @ dictionary.W_dec[self.picked[site].to(grad.device)].T) * delta.code
        else:
            units = dictionary.fold(dictionary.pull(grad) * delta.code)
        return torch.cat([units, (grad * delta.error).sum(-1, keepdim=True)], dim=-1)

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
        turn = self._turns(site, rows)
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
        if site in self.picked:
            through_code = self._through_what_fires(site, dictionary, rows, grad)
        else:
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

    def _through_what_fires(
        self, site: Site, dictionary: Dictionary, rows: Int[Tensor, "row 3"], grad: Float[Tensor, "row d"]
    ) -> Float[Tensor, "row d"]:
        """The same of a wide dictionary: of an error through all that fires at its token."""
        assert is_wide(dictionary)
        self.delta(site)
        fires, units = self._fires[site], dictionary.n_units
        example, position, unit = rows.T
        token, is_error = example * self.batch.clean.shape[1] + position, unit == units
        unit = unit.clamp_max(units - 1)
        one = torch.where(is_error, 0, fires.of(token, unit))
        seen = Sparse(torch.arange(len(rows), device=unit.device) * units + unit, one, len(rows), units)
        found = pull_back(dictionary, seen, grad)
        found[is_error] -= pull_back(dictionary, fires.take(token[is_error]), grad[is_error])
        return found

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
            return self.chosen(leaf, values, circuit, sources, placed)
        wanted = torch.from_numpy(circuit.position[sources]).to(values.device)
        at = values[:, 0, self.columns(circuit, leaf, sources)] * (positions[:, None] == wanted)
        return at.cpu().double().numpy()

    def chosen(
        self,
        site: Site,
        values: Float[Tensor, "row seq unit_and_error"],
        circuit: Circuit,
        nodes: np.ndarray,
        placed: bool,
    ) -> np.ndarray:
        """What some nodes of one site have of the values of all its nodes, [row, node]: where they stand, or everywhere."""
        columns = self.columns(circuit, site, nodes)
        if not placed:
            return values[..., columns].sum(1).cpu().double().numpy()
        at = torch.from_numpy(circuit.position[nodes]).to(values.device)
        return values[:, at, columns].cpu().double().numpy()

    def columns(self, circuit: Circuit, site: Site, nodes: np.ndarray) -> Int[Tensor, " node"]:
        """Where effects and weights of one site hold those of some of its nodes."""
        unit, device = torch.from_numpy(circuit.unit[nodes]), self.clean.tokens.device
        picked = self.picked.get(site)
        last = self.dictionary(site).n_units if picked is None else len(picked)
        at = unit if picked is None else torch.searchsorted(picked, unit)
        return torch.where(unit == ERROR, last, at).to(device)

    def all_weights(
        self, leaf: Site, grad: Float[Tensor, "row seq d"], rows: Int[Tensor, "row 3"], positions: Tensor | None
    ) -> Float[Tensor, "row seq unit_and_error"]:
        """Weights of edges from every node at a leaf to the rows: (gradient . decoder row) (other - clean)."""
        delta = self.delta(leaf)
        at = (rows[:, 0],) if positions is None else (rows[:, 0], positions)
        code, error = delta.code[at], delta.error[at]
        if positions is not None:
            code, error = code[:, None], error[:, None]
        return self._times(leaf, grad, State(code, error))

    def read_on(self) -> set[Site]:
        """The sites that another site of the view reads, be there nodes of the circuit or not."""
        leaves, cut = list(self.model.dictionaries), self.once
        through = (cut.values[d.reads] for site, d in self.model.dictionaries.items() if d.reads != site)
        reached = _leaves_of([*(cut.arrived[site] for site in leaves), *through])
        return {site for site in leaves if id(cut.values[site]) in reached}

    def into_the_metric(self) -> dict[Site, Float[Tensor, "example seq d"]]:
        """d loss / d value at every site that the metric reads without another view site in between."""
        loss = -self.contrast.behaviour.measured(self.once, self.batch).sum()
        leaves = list(self.model.dictionaries)
        grads = torch.autograd.grad(loss, [self.once.values[s] for s in leaves], allow_unused=True, retain_graph=True)
        return {s: g for s, g in zip(leaves, grads, strict=True) if g is not None}


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


def copies_for(turns: Sequence[int], tokens: int, most: int, beside: int) -> int:
    """In how many copies of a batch backward passes of so many turns cost least, the forward of the copies counted.

    Args: turns: of each site. tokens: of the batch. most: tokens at once. beside: see `BESIDE`.

    >>> copies_for([8, 8], tokens=32, most=1024, beside=32), copies_for([8, 8], tokens=512, most=1024, beside=32)
    (2, 1)
    """

    def cost(copies: int) -> int:
        passes = [(copies > 1) + -(-turn // copies) for turn in turns]
        return (beside + copies * tokens) * sum(passes)

    return min(range(1, max(1, min(most // tokens, max(turns, default=1))) + 1), key=cost)


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
    """Whether attention, or another mixer, that no view site cuts lies between a site and the leaves it reads."""
    view = set(model.dictionaries)
    layer = model.n_layers - 1 if site.layer is None else site.layer
    below = [s.layer for s in view if s.part == "resid" and s < site]
    first = max((b for b in below if b is not None), default=-1) + 1

    def held(i: int, before: int | None = None) -> bool:
        """Whether the view cuts every mixer of a block, or those among its first few parts."""
        mixing = [p.kind for p in model.body.layout.parts[i][:before] if p.kind != "mlp"]
        return all(Site(kind, i) in view or (kind == "attn" and Site("head", i) in view) for kind in mixing)

    if site.part in ("pattern", "head", "mixer") or (site.part == "attn" and Site("head", layer) not in view):
        return True
    if any(not held(i) for i in range(first, layer)):
        return True
    if kind := READING.get(site.part):
        return first <= layer and not held(layer, model.body.part(kind, layer).after)
    return site.part in ("resid", "final") and first <= layer and not held(layer)
