"""Influence in an attribution graph: what reaches the outputs from each node, and what can be pruned for its lack.

A graph is one matrix A[target, source] of direct effects, all nodes on both axes, with no circle in it. Shares are
|A| normalised over the sources of each target; influence is output weight carried back along them over every path.
Source: Ameisen et al. 2025, Circuit Tracing, appendix on graph pruning and graph scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def shares(A: Float[Tensor, "target source"]) -> Float[Tensor, "target source"]:
    """|A| / its sum over sources; a target without sources keeps its zeros."""
    size = A.abs()
    return size / size.sum(1, keepdim=True).clamp_min(torch.finfo(A.dtype).tiny)


def carried_back(A: Float[Tensor, "node node"], start: Float[Tensor, " node"]) -> Float[Tensor, " node"]:
    """start (A + A^2 + A^3 + ...): what `start` at the targets becomes at the sources, over all paths.

    Raises: ValueError if the graph has a circle, so that the sum would not end.
    """
    total, step = torch.zeros_like(start), start
    for _ in range(len(A) + 1):
        step = step @ A
        if not bool(step.any()):
            return total
        total = total + step
    raise ValueError("the attribution graph has a circle: a node reaches itself")


def influence(A: Float[Tensor, "node node"], weight: Float[Tensor, " node"]) -> Float[Tensor, " node"]:
    """How much of the weight put on the outputs reaches each node."""
    return carried_back(shares(A), weight)


@dataclass(frozen=True)
class Kinds:
    """Which rows of the matrix are what; the rest are features."""

    token: Bool[Tensor, " node"]
    error: Bool[Tensor, " node"]
    weight: Float[Tensor, " node"]
    """Of an output: the probability of a logit, or 1 for a metric; 0 for every other node."""
    output: Bool[Tensor, " node"]


def prune(
    A: Float[Tensor, "node node"], kinds: Kinds, node_threshold: float, edge_threshold: float
) -> tuple[Bool[Tensor, " node"], Bool[Tensor, "node node"]]:
    """Which nodes and which edges stay.

    Nodes: the fewest that hold `node_threshold` of all influence, with every token and output. Edges between them: the
    fewest that hold `edge_threshold` of share times the target's influence in what is left. Then features without a
    way in or out and errors without a way out are taken off, until none is left.
    """
    nodes = _fewest(influence(A, kinds.weight), node_threshold) | kinds.token | kinds.output
    left = A * nodes[:, None] * nodes
    share = shares(left)
    edges = (left != 0) & _fewest(share * (carried_back(share, kinds.weight) + kinds.weight)[:, None], edge_threshold)
    feature = ~(kinds.token | kinds.error | kinds.output)
    while True:
        loose = nodes & ((feature & ~edges.any(1)) | ((feature | kinds.error) & ~edges.any(0)))
        if not bool(loose.any()):
            return nodes, edges
        nodes = nodes & ~loose
        edges = edges & nodes[:, None] & nodes


def _fewest(score: Tensor, share: float) -> Tensor:
    """The highest scores that together hold `share` of their sum, and those equal to the last of them."""
    if share >= 1:
        return torch.ones_like(score, dtype=torch.bool)
    ordered = score.flatten().sort(descending=True).values
    held = ordered.cumsum(0) / ordered.sum().clamp_min(torch.finfo(score.dtype).tiny)
    last = int(torch.searchsorted(held, torch.tensor(share, dtype=held.dtype, device=held.device)))
    return score >= ordered[min(last, len(ordered) - 1)]


def replacement(A: Float[Tensor, "node node"], kinds: Kinds) -> float:
    """Of the influence that ends in tokens or errors, the part that ends in tokens; 1 = nothing comes from errors."""
    total = influence(A, kinds.weight)
    tokens, errors = float(total[kinds.token].sum()), float(total[kinds.error].sum())
    return tokens / (tokens + errors) if tokens + errors else float("nan")


def completeness(A: Float[Tensor, "node node"], kinds: Kinds) -> float:
    """The part of every target's input that is no error, averaged by the target's influence."""
    share = shares(A)
    weight = carried_back(share, kinds.weight) + kinds.weight
    explained = 1 - share[:, kinds.error].sum(1)
    return float((explained * weight).sum() / weight.sum())
