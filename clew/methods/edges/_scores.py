"""Edge scores from gradients: what every gradient search over the component graph does.

score(u -> v) = (what u writes on the other prompt - what it writes on the clean one) . (d loss / d what v reads),
summed over positions, averaged over examples; the loss is minus the behaviour's metric, so a positive edge supports
the behaviour. Source: Syed et al. 2023 (arXiv:2310.10348); searches differ in where the gradient is taken.

How it is done: nothing but the stock forward is in the autograd graph. Gradients come out at the queries, keys and
values and at the MLP's input, are pulled back through each head's matrix and the norm beside it, are averaged over
the points of the search, and meet what the sources wrote in one matrix product per site. Examples stay apart until
then, so every edge has a standard error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from clew.changes import ActivationEdit, Set
from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.methods._nodes import Spread
from clew.models import Model, Trace
from clew.models.attention import Shared, heads_apart
from clew.models.graph.components import EMBED, FINAL, Components
from clew.models.state import state
from clew.progress import Loops, Tell
from clew.readings.contrast import Baseline, edge_tokens, input_baseline, resampled
from clew.readings.means import Means
from clew.sites import Site

Gradient = Float[Tensor, "example reader seq d_model"]
Writes = Float[Tensor, "example source seq d_model"]


@dataclass(frozen=True)
class Piece:
    """The gradient at some neighbouring readers, and which sources come before them."""

    readers: slice
    sources: slice
    gradient: Gradient


def score_edges(
    model: Model,
    behaviour: Behaviour,
    points: Sequence[float],
    *,
    baseline: Baseline | None,
    ungrouped: bool,
    seed: int,
    progress: Tell | None = None,
) -> Circuit:
    """All edges, with the gradient averaged over points of the path of embeddings: 0 is clean, 1 the other end."""
    if any(points):
        baseline = input_baseline(behaviour, baseline)
    scores = Scores(model, behaviour, baseline, ungrouped=ungrouped, seed=seed)
    *before, last = sorted(points, reverse=True)
    loops = Loops(progress)
    for batch in loops.over(scores.batches):
        ends, total = Ends(scores, batch), []
        for i, point in enumerate(before):
            with loops.part(i, len(points)):
                total = list(added(total, ends.at(point).gradients()))
        run = ends.at(last)
        scores.add(ends.delta(), added(total, run.gradients()), len(points))
    return scores.circuit()


class Scores:
    """Edge scores of a model on a behaviour, added up batch by batch."""

    def __init__(
        self, model: Model, behaviour: Behaviour, baseline: Baseline | None, *, ungrouped: bool, seed: int
    ) -> None:
        self.baseline: Baseline = baseline or behaviour.baseline
        if self.baseline not in get_args(Baseline):
            raise ValueError(f"{self.baseline!r} is no baseline; choose {', '.join(get_args(Baseline))}")
        if self.baseline == "patch" and behaviour.baseline != "patch":
            raise ValueError(
                f"{behaviour.name} has prompts without a patch; choose baseline='zero', 'mean' or 'resample'"
            )
        self.model, self.behaviour, self.seed = model, behaviour, seed
        self.graph = Components(model.body, ungrouped=ungrouped)
        attentions = [part for parts in model.body.layout.parts for part in parts if part.kind == "attn"]
        if self.graph.ungrouped and any(part.pattern != "interface" for part in attentions):
            raise ValueError(
                f"the attention of {model.name} cannot be entered, so what its {model.body.n_kv_heads} shared key-value "
                "heads read cannot be split among query heads; leave out ungrouped=True"
            )
        self.batches = list(behaviour.batches(model, tokens=edge_tokens(self.graph)))
        self._spread = Spread(*self.graph.legal.shape, device=model.device)
        self._mean = self._mean_writes() if self.baseline == "mean" else None

    def _mean_writes(self) -> Means[str]:
        apart = ((batch.clean, {"writes": self.writes(batch.clean).transpose(1, 2)}) for batch in self.batches)
        return Means.of(self.model, self.behaviour, apart)

    def writes(self, tokens: Tensor) -> Writes:
        """What the sources write on some prompts."""
        return self.graph.writes(self.model.run(tokens, read=self.graph.source_sites, logits=0))

    def other_tokens(self, batch: Batch) -> Tensor | None:
        """The prompts of the other state; None where it is not that of prompts."""
        if self.baseline == "patch":
            return batch.patch
        return resampled(batch, self.seed) if self.baseline == "resample" else None

    def other_writes(self, batch: Batch, clean: Writes) -> Writes:
        """What the sources write in an other state that is not that of prompts."""
        if self._mean is None:
            return torch.zeros_like(clean)
        return self._mean.at("writes", batch.clean).transpose(1, 2).to(clean).expand_as(clean)

    def run(
        self,
        tokens: Tensor,
        batch: Batch,
        edits: Sequence[ActivationEdit] = (),
        base: Trace | None = None,
        above: Site | None = None,
    ) -> Backward:
        """A forward from which gradients can be had at every reader, or at those above a site."""
        reads = {Site("resid", self.graph.n_layers - 1), *self.behaviour.needs.reads}
        reads |= set(self.graph.source_sites) if above is None else set()
        for site in self.graph.reader_at:
            if site != FINAL and (above is None or site > above):
                reads |= {site, *self.graph.stream_sites(site)}
        body = self.model.body
        with state(body.module) as held:
            shared = heads_apart(held, body.module, [*body.attentions.values()]) if self.graph.ungrouped else []
            keep, record = self.behaviour.needs.last, base is None
            trace = self.model.run(tokens, read=reads, edits=edits, grad=True, logits=keep, base=base, record=record)
        return Backward(self.graph, trace, -self.behaviour.measured(trace, batch).sum(), shared)

    def add(self, delta: Writes, pieces: Iterable[Piece], points: int) -> None:
        """Contract what the sources write with the gradients summed over points; examples stay apart."""
        for piece in pieces:
            wide = torch.promote_types(delta.dtype, torch.float32)
            sources, gradient = delta[:, piece.sources].flatten(2).to(wide), piece.gradient.flatten(2).to(wide)
            score = (sources @ gradient.transpose(1, 2)).double() / points
            self._spread.add((piece.sources, piece.readers), score)

    def circuit(self) -> Circuit:
        """Mean and standard error of every edge over the examples."""
        found = self.graph.circuit(*self._spread.over(self.behaviour))
        return replace(found, provenance={"baseline": self.baseline})


class Ends:
    """The clean and the other end of a batch: what sources write there, and runs at points between."""

    def __init__(self, scores: Scores, batch: Batch) -> None:
        self.scores, self.batch = scores, batch
        self.tokens = scores.other_tokens(batch)
        self._clean: Writes | None = None
        self._other: Writes | None = None

    @property
    def clean(self) -> Writes:
        """What the sources write on the clean prompts."""
        if self._clean is None:
            self._clean = self.scores.writes(self.batch.clean)
        return self._clean

    @property
    def other(self) -> Writes:
        """What they write in the other state."""
        if self._other is None:
            scores, tokens = self.scores, self.tokens
            self._other = scores.other_writes(self.batch, self.clean) if tokens is None else scores.writes(tokens)
        return self._other

    def delta(self) -> Writes:
        """other - clean; the ends are used up."""
        delta = self.other - self.clean if self.tokens is None else self.other.sub_(self.clean)
        self._clean = self._other = None
        return delta

    def at(self, point: float) -> Backward:
        """A run with embeddings this far on the way to the other end; the ends themselves are run once."""
        if point == 0:
            run = self.scores.run(self.batch.clean, self.batch)
            self._clean = self.scores.graph.writes(run.trace)
            return run
        if point == 1 and self.tokens is not None:
            run = self.scores.run(self.tokens, self.batch)
            self._other = self.scores.graph.writes(run.trace)
            return run
        path = torch.lerp(self.clean[:, 0], self.other[:, 0], point)
        return self.scores.run(self.batch.clean, self.batch, [Set(EMBED, value=path)])


@dataclass
class Backward:
    """One forward, tied to its loss."""

    graph: Components
    trace: Trace
    loss: Tensor
    shared: list[Shared]
    """Of the layers that were run: the last ones where the run was resumed."""

    def gradients(self, above: Site | None = None) -> Iterator[Piece]:
        """d loss / d input of every reader (of those after a site, if one is given), layer by layer; one backward.

        What query heads share of keys and values is split among them where the graph is ungrouped.
        """
        graph, values = self.graph, self.trace.values
        sites = [s for s in graph.reader_at if s != FINAL and (above is None or s > above)]
        split = {site for site in sites if self.shared and site.part in "kv"}
        last = Site("resid", graph.n_layers - 1)
        at = {site: self._copies(site) if site in split else values[site] for site in [*sites, last]}
        grads = dict(zip(at, torch.autograd.grad(self.loss, list(at.values()), retain_graph=bool(split)), strict=True))
        for layer in dict.fromkeys(site.layer for site in sites):
            for _, reads in graph.blocks[layer or 0]:
                here = [s for s in reads if s in grads]
                if here:
                    gradient = torch.cat([self._by_head(s, grads.pop(s), s in split) for s in here], dim=1)
                    yield self._through_norm(here[-1], gradient)
        end = len(graph.readers)
        yield Piece(slice(end - 1, end), slice(0, len(graph.sources)), grads[last].unsqueeze(1))

    def _shared(self, site: Site) -> Shared:
        return self.shared[(site.layer or 0) - self.graph.n_layers]

    def _copies(self, site: Site) -> Tensor:
        seen = self._shared(site)
        return seen.keys if site.part == "k" else seen.values

    def _by_head(self, site: Site, grad: Tensor, split: bool) -> Gradient:
        """The gradient at what the projections read: each head's own, through its matrix; that of what has no heads."""
        if site.part not in "qkv":
            return grad.unsqueeze(1)
        matrix, _ = self.graph.projection(site)
        if not split:
            return torch.einsum("bphe,hde->bhpd", grad.unflatten(-1, (len(matrix), -1)), matrix)
        seen = self._shared(site)
        shared = seen.key if site.part == "k" else seen.value
        turns = grad.unflatten(1, (len(matrix), -1)).movedim(2, 0)  # one query head of every group at a time
        (own,) = torch.autograd.grad(shared, self.trace[site], turns, is_grads_batched=True, retain_graph=True)
        own = own.unflatten(-1, (len(matrix), -1))
        return torch.einsum("tbpge,gde->bgtpd", own, matrix).flatten(1, 2)

    def _through_norm(self, last: Site, gradient: Gradient) -> Piece:
        """The gradient at the stream that the norm before these readers gets; `last` is the site of the last."""
        parts = [self.trace[s].detach() for s in self.graph.stream_sites(last)]
        stream = sum(parts[1:], parts[0]).requires_grad_()
        with torch.enable_grad():
            normed = self.graph.norm(last)(stream)
        (pulled,) = torch.autograd.grad(normed, stream, gradient.movedim(1, 0), is_grads_batched=True)
        stop = self.graph.reader_at[last].stop
        return Piece(slice(stop - len(pulled), stop), slice(0, self.graph.reach[stop - 1]), pulled.movedim(0, 1))


def added(total: Sequence[Piece], pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The gradients of one more point on top of a total, piece by piece; the total is used up."""
    for i, piece in enumerate(pieces):
        yield replace(piece, gradient=total[i].gradient.add_(piece.gradient)) if total else piece
