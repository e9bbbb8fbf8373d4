"""Two circuits held side by side: what they share and what each has alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clew.tables import as_html, frame

NodeKey = tuple[str, int, int]
"""(site, unit, position) of a node; of the metric, ("metric", OUTPUT, ANYWHERE)."""
EdgeKey = tuple[NodeKey, NodeKey]
"""Both ends of an edge."""


@dataclass(frozen=True)
class Difference:
    """Two circuits held side by side: what they share and what each has alone, in the order of its columns."""

    shared: tuple[NodeKey, ...]
    only_first: tuple[NodeKey, ...]
    only_second: tuple[NodeKey, ...]
    correlation: float
    """Pearson correlation of the scores of shared nodes; nan when fewer than two vary."""
    shared_edges: tuple[EdgeKey, ...]
    only_first_edges: tuple[EdgeKey, ...]
    only_second_edges: tuple[EdgeKey, ...]
    edge_correlation: float
    """Pearson correlation of the weights of shared edges; nan when fewer than two vary."""

    @property
    def overlap(self) -> float:
        """Shared nodes over all nodes (Jaccard); 1 for equal circuits, also for two empty ones."""
        return _overlap(self.shared, self.only_first, self.only_second)

    @property
    def edge_overlap(self) -> float:
        """Shared edges over all edges (Jaccard); 1 for two circuits without edges."""
        return _overlap(self.shared_edges, self.only_first_edges, self.only_second_edges)

    def _repr_html_(self) -> str:
        """What is shared and what is not, as a table for a notebook."""
        kinds = {
            "nodes": (self.shared, self.only_first, self.only_second, self.overlap, self.correlation),
            "edges": (
                self.shared_edges,
                self.only_first_edges,
                self.only_second_edges,
                self.edge_overlap,
                self.edge_correlation,
            ),
        }
        rows = [
            [name, *(f"{len(part):,}" for part in parts), f"{overlap:.2f}", f"{correlation:.2f}"]
            for name, (*parts, overlap, correlation) in kinds.items()
            if any(parts)
        ]
        head = ["", "shared", "only in the first", "only in the second", "overlap", "correlation"]
        return as_html("two circuits", head if rows else [], rows)

    def to_frame(self) -> Any:
        """A row for each node of either circuit as a pandas DataFrame: where it stands, and in which of the two.

        Raises: ImportError without pandas.
        """
        sides = {"both": self.shared, "first": self.only_first, "second": self.only_second}
        rows = [
            {"site": site, "unit": unit, "position": position, "in": side}
            for side, keys in sides.items()
            for site, unit, position in keys
        ]
        return frame(rows, ["site", "unit", "position", "in"])

    def __str__(self) -> str:
        nodes = (
            f"{len(self.shared)} nodes shared, {len(self.only_first)} only in the first, "
            f"{len(self.only_second)} only in the second; overlap {self.overlap:.2f}, "
            f"Pearson correlation of shared scores {self.correlation:.2f}"
        )
        if not (self.shared_edges or self.only_first_edges or self.only_second_edges):
            return nodes
        return (
            f"{nodes}\n{len(self.shared_edges)} edges shared, {len(self.only_first_edges)} only in the first, "
            f"{len(self.only_second_edges)} only in the second; overlap {self.edge_overlap:.2f}, "
            f"Pearson correlation of shared weights {self.edge_correlation:.2f}"
        )


def compare(mine: Mapping[Any, float], theirs: Mapping[Any, float]) -> tuple[Any, Any, Any, float]:
    """The keys that both have, that each has alone, and the correlation of what the shared ones hold."""
    shared = tuple(k for k in mine if k in theirs)
    one, two = np.array([mine[k] for k in shared]), np.array([theirs[k] for k in shared])
    varies = len(shared) > 1 and one.std() > 0 and two.std() > 0
    correlation = float(np.corrcoef(one, two)[0, 1]) if varies else float("nan")
    return shared, tuple(k for k in mine if k not in theirs), tuple(k for k in theirs if k not in mine), correlation


def _overlap(shared: tuple[Any, ...], *alone: tuple[Any, ...]) -> float:
    total = len(shared) + sum(map(len, alone))
    return len(shared) / total if total else 1.0
