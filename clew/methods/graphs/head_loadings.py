"""Head loadings: through which attention heads an edge of an attribution graph goes.

Between two nodes the frozen model is linear: residual connections, and heads whose patterns are held. Every path from the
source to the target has a last head, or none (the bypass, at one position), so

    weight = sum over heads (l, h) of [paths whose last head is (l, h)] + [paths through no head],

exactly. The part of a head is what the target reads of that head's write at the target's position, followed back from
the head's mix of values to the source by all ways. Splitting edges so is proposed for circuit-tracer (pull request 114,
2026); taking the last head, so that the parts add up, and how it is computed, are ours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.circuits.circuit import ERROR, OUTPUT, Circuit, Node
from clew.data.behaviours.behaviour import Behaviour
from clew.methods.graphs._direct import EMBED, FINAL, Direct
from clew.models import Model
from clew.models.tokens import check_ids
from clew.sites import Site


def head_loadings(model: Model, behaviour: Behaviour, circuit: Circuit, *, edges: int = 20, rows: int = 64) -> Circuit:
    """The graph with `details["heads"]`: for its strongest edges the part of the weight that each head carries.

    Args:
        model: the view in which the graph was found.
        behaviour: what it was found for; the prompt is the graph's own.
        circuit: an attribution graph. edges: how many, by |weight|, of those that end in a feature or a logit.
        rows: heads of targets in one backward pass.

    Returns: the same circuit; `details["heads"]` holds by "source -> target" (addresses) a list of [layer, head, part],
        largest first, and last ["bypass", part], the part through no head. They add up to the edge's weight.
    Raises: ValueError for a circuit that is no attribution graph, or one of another model or view.
    Costs: one forward, and one row of a backward pass for each target and head below it.
    """
    prompt = circuit.kind.prompt
    if circuit.kind.of != "prompt_graph" or prompt is None or not prompt.token_ids:
        raise ValueError("head loadings split the edges of an attribution graph; find one with by='attribution_graph'")
    if edges < 0 or rows < 1:
        raise ValueError(f"edges={edges} and rows={rows}: give counts, rows from 1 on")
    tokens = torch.tensor([prompt.token_ids], device=model.device)
    check_ids(tokens, model.body.vocabulary, model.name)
    heads = [Site(part, layer) for layer in range(model.n_layers) for part in ("head", "attn")]
    split = _Split(Direct(model, tokens, read=heads), rows)
    nodes = circuit.nodes
    found: dict[str, list[list[int | float | str]]] = {}
    for t, some in _by_target(circuit, edges).items():
        names = [nodes[int(circuit.source[e])] for e in some]
        held = split.held(nodes[t], torch.tensor([split.column(node) for node in names]))
        found |= {f"{n.address} -> {nodes[t].address}": split.listed(h) for n, h in zip(names, held.T, strict=True)}
    return circuit.with_details(heads=found)


def _by_target(circuit: Circuit, n: int) -> dict[int, list[int]]:
    """The n strongest edges that end in a node, by that node."""
    order = np.argsort(-np.abs(circuit.weight), kind="stable").tolist()
    chosen: dict[int, list[int]] = {}
    for e in [e for e in order if circuit.target[e] != OUTPUT][:n]:
        chosen.setdefault(int(circuit.target[e]), []).append(e)
    return chosen


class _Split:
    """The frozen run of the graph's prompt, in which what a target reads is told apart by the last head on its way."""

    def __init__(self, direct: Direct, rows: int) -> None:
        self.direct, self.rows, self.body = direct, rows, direct.model.body
        self._places = {tuple(place): i for i, place in enumerate(direct.feature.tolist())}

    def column(self, node: Node) -> int:
        """Where a node stands among the sources of the run. Raises: ValueError for one that writes nothing here."""
        direct, layer, end = self.direct, node.site.layer, len(self.direct.feature)
        if node.site == EMBED:
            return direct.n_sources - direct.seq + node.position
        if node.unit == ERROR and layer is not None:
            return end + layer * direct.seq + node.position
        return self.feature(node)

    def feature(self, node: Node) -> int:
        """Which active feature a node is. Raises: ValueError for one that does not fire in this run."""
        found = self._places.get((node.site.layer, node.position, node.unit))
        if found is None:
            raise ValueError(
                f"{node.address} does not fire on the graph's prompt in this model and view; give those it was found in"
            )
        return found

    def held(self, target: Node, columns: Int[Tensor, " source"]) -> Float[Tensor, "head source"]:
        """The part of each edge that goes through each head last, heads by layer, and last the bypass."""
        read, direction, last = self._reading(target)
        position = torch.tensor([target.position], device=direction.device)
        above = self._before(read, direction, position, last)
        layers = range(last + 1)
        seeds = [self._into_heads(layer, above, target.position) for layer in layers]
        parts = [self.direct.on(Site("head", 0), *some)[:, columns].cpu() for some in self._batches(seeds, position)]
        return torch.cat([*parts, self._bypass(target, above)[:, columns].cpu()])

    def listed(self, held: Float[Tensor, " head"]) -> list[list[int | float | str]]:
        """One edge's parts as [layer, head, part], largest first, and ["bypass", part]."""
        *heads, bypass = held.tolist()
        order = sorted(range(len(heads)), key=lambda i: -abs(heads[i]))
        listed: list[list[int | float | str]] = [[*divmod(i, self.body.n_heads), heads[i]] for i in order if heads[i]]
        return [*listed, ["bypass", bypass]]

    def _reading(self, target: Node) -> tuple[Site, Float[Tensor, "one d_model"], int]:
        """Where a target reads, the direction, and the last layer whose attention it sees; -1 for none."""
        if target.site == FINAL:
            table = self.body.unembedding
            column = table[target.unit] - table.mean(0, dtype=self.direct.activation.dtype)
            return FINAL, column[None].to(self.direct.activation.dtype), self.direct.layers - 1
        row = self.direct.encoder_rows(torch.tensor([self.feature(target)], device=self.direct.feature.device))
        layer = target.site.layer or 0
        return Site("mlp_in", layer), row, layer - int(self.body.part("mlp", layer).after == 0)

    def _before(self, read: Site, direction: Tensor, position: Tensor, last: int) -> Float[Tensor, "one d_model"]:
        """The same direction in the stream before the norm: what one write there is worth to the target."""
        site = Site("attn", last) if last >= 0 else EMBED
        seed = torch.zeros_like(self.direct.trace[read])
        seed[0, position] = direction.to(seed.dtype)
        (grad,) = torch.autograd.grad(self.direct.trace[read], self.direct.trace[site], seed, retain_graph=True)
        return grad[0, position].to(self.direct.activation.dtype)

    def _into_heads(self, layer: int, above: Tensor, position: int) -> Float[Tensor, "head mix"]:
        """The direction in the mix of values of each head of a layer, the other heads at 0."""
        attn, head = (self.direct.trace[Site(part, layer)] for part in ("attn", "head"))
        seed = torch.zeros_like(attn)
        seed[0, position] = above[0].to(seed.dtype)
        (grad,) = torch.autograd.grad(attn, head, seed, retain_graph=True)
        mix = grad[0, position].reshape(self.body.n_heads, -1)
        return torch.block_diag(*mix).to(self.direct.activation.dtype)

    def _batches(self, seeds: list[Tensor], position: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Layers, positions and directions of rows, so many at a time."""
        if not seeds:
            return
        layer = torch.arange(len(seeds), device=position.device).repeat_interleave(self.body.n_heads)
        for some in torch.arange(len(layer), device=position.device).split(self.rows):
            yield layer[some], position.expand(len(some)), torch.cat(seeds)[some]

    def _bypass(self, target: Node, above: Tensor) -> Float[Tensor, "one source"]:
        """What every source at the target's position writes into the stream below it, as the target reads it."""
        below = self.direct.layers if target.site == FINAL else target.site.layer or 0
        grad = torch.zeros(1, self.direct.seq, above.shape[-1], dtype=above.dtype, device=above.device)
        grad[0, target.position] = above[0]
        return self.direct.contract([grad, *([grad] * below)], 1, self.direct.seq)
