"""Influence in an attribution graph: what reaches the outputs from each node, and what can be pruned for its lack.

A graph is one matrix A[target, source] of direct effects, with no circle in it. Its columns are all nodes, and so are its
rows unless it is said which nodes have one: errors and tokens are no targets, and of a long prompt they are most. Shares are
|A| normalised over the sources of each target; influence is output weight carried back along them over every path.
Source: Ameisen et al. 2025, Circuit Tracing, appendix on graph pruning and graph scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


def shares(A: Float[Tensor, "target source"]) -> Float[Tensor, "target source"]:
    """|A| / its sum over sources; a target without sources keeps its zeros."""
    size = A.abs()
    return size / size.sum(1, keepdim=True).clamp_min(torch.finfo(A.dtype).tiny)


def carried_back(
    A: Float[Tensor, "target node"], start: Float[Tensor, " node"], target: Int[Tensor, " target"] | None = None
) -> Float[Tensor, " node"]:
    """start (A + A^2 + A^3 + ...): what `start` at the targets becomes at the sources, over all paths.

    Args: target: which node each row is; all in order when None.
    Raises: ValueError if the graph has a circle, so that the sum would not end.
    """
    total, step = torch.zeros_like(start), start
    for _ in range(len(A) + 1):
        step = (step if target is None else step[target]) @ A
        if not bool(step.any()):
            return total
        total = total + step
    raise ValueError("the attribution graph has a circle: a node reaches itself")


@dataclass(frozen=True)
class Kinds:
    """Which rows of the matrix are what; the rest are features."""

    token: Bool[Tensor, " node"]
    error: Bool[Tensor, " node"]
    weight: Float[Tensor, " node"]
    """Of an output: the probability of a logit, or 1 for a metric; 0 for every other node."""
    output: Bool[Tensor, " node"]
    target: Int[Tensor, " target"] | None = None
    """Which node each row of the matrix is; all in order when None."""

    def of_rows(self, x: Shaped[Tensor, " node"]) -> Shaped[Tensor, " target"]:
        """What the nodes that are targets have."""
        return x if self.target is None else x[self.target]

    def of_nodes(self, x: Shaped[Tensor, " target"], otherwise: int) -> Shaped[Tensor, " node"]:
        """What targets have, and what all other nodes do."""
        if self.target is None:
            return x
        return torch.full_like(self.token, otherwise, dtype=x.dtype).index_copy(0, self.target, x)


def influence(A: Float[Tensor, "target node"], kinds: Kinds) -> Float[Tensor, " node"]:
    """How much of the weight put on the outputs reaches each node."""
    return carried_back(shares(A), kinds.weight, kinds.target)


def prune(
    A: Float[Tensor, "target node"], kinds: Kinds, node_threshold: float, edge_threshold: float
) -> tuple[Bool[Tensor, " node"], Bool[Tensor, "target node"]]:
    """Which nodes and which edges stay.

    Nodes: the fewest that hold `node_threshold` of all influence, with every token and output. Edges between them: the
    fewest that hold `edge_threshold` of share times the target's influence in what is left. Then features without a
    way in or out and errors without a way out are taken off, until none is left.
    """
    nodes = _fewest(influence(A, kinds), node_threshold) | kinds.token | kinds.output
    share = shares(A * kinds.of_rows(nodes)[:, None] * nodes)
    carried = carried_back(share, kinds.weight, kinds.target) + kinds.weight
    edges = share != 0
    edges &= _fewest(share.mul_(kinds.of_rows(carried)[:, None]), edge_threshold)
    feature = ~(kinds.token | kinds.error | kinds.output)
    while True:
        into, out = kinds.of_nodes(edges.any(1), 0), edges.any(0)
        loose = nodes & ((feature & ~into) | ((feature | kinds.error) & ~out))
        if not bool(loose.any()):
            return nodes, edges
        nodes = nodes & ~loose
        edges &= kinds.of_rows(nodes)[:, None] & nodes


def _fewest(score: Tensor, share: float) -> Tensor:
    """The highest scores that together hold `share` of their sum, and those equal to the last of them."""
    if share >= 1:
        return torch.ones_like(score, dtype=torch.bool)
    ordered = _largest(score, share).sort(descending=True).values
    held = ordered.cumsum(0) / score.sum().clamp_min(torch.finfo(score.dtype).tiny)
    last = int(torch.searchsorted(held, torch.tensor(share, dtype=held.dtype, device=held.device)))
    return score >= ordered[min(last, len(ordered) - 1)]


def _largest(score: Tensor, share: float) -> Float[Tensor, " some"]:
    """Those above a bound that hold more than `share` of the sum: a sort of all would be dear where they are many."""
    total, bound = float(score.sum()), float(score.max())
    while len(some := score[score >= bound]) < score.numel():
        if float(some.sum()) > (share + 1) / 2 * total:
            return some
        bound = bound / 4 if bound > torch.finfo(score.dtype).tiny else 0.0
    return some


def replacement(A: Float[Tensor, "target node"], kinds: Kinds) -> float:
    """Of the influence that ends in tokens or errors, the part that ends in tokens; 1 = nothing comes from errors."""
    total = influence(A, kinds)
    tokens, errors = float(total[kinds.token].sum()), float(total[kinds.error].sum())
    return tokens / (tokens + errors) if tokens + errors else float("nan")


def completeness(A: Float[Tensor, "target node"], kinds: Kinds) -> float:
    """The part of every target's input that is no error, averaged by the target's influence."""
    share = shares(A)
    weight = carried_back(share, kinds.weight, kinds.target) + kinds.weight
    explained = 1 - kinds.of_nodes(share[:, kinds.error].sum(1), 0)
    return float((explained * weight).sum() / weight.sum())
