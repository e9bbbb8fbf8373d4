"""ILP: the best connected circuit of a size, and how sure that is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Int

from clew.circuits.circuit import OUTPUT, Circuit
from clew.circuits.selection._items import check_budget, check_wired, pick, scores
from clew.circuits.selection._stations import Stations, structure
from clew.circuits.selection.greedy import grown


def ilp(circuit: Circuit, n: int, *, signed: bool = False, time_limit: float = 60.0) -> Circuit:
    """The connected circuit of at most n edges that holds the most |weight|, by mixed-integer programming (HiGHS).

    Maximise sum w_e x_e with sum x_e <= n; x_uv <= y_u, y_v; a node is in (y = 1) only with an edge out of it and, but
    for the embedding and the nodes of a view, with an edge into one of its readers. As a circuit has no circles this is
    connectivity. Given the nodes, the edges' constraints are a network, so x comes out whole without being asked to:
    only y is an integer, a hundred times fewer than edges.

    Args:
        signed: the most weight, rather than |weight|; edges that work against the behaviour are then taken only where
            the connection needs them.
        time_limit: seconds after which the best found so far is returned; it is never worse than `greedy`.
    Returns: a connected circuit. `details["ilp"]` says what it holds ("kept"), what no circuit can exceed ("bound",
        None if the time was too short for one), their relative "gap", and whether it is "optimal" to 1e-6.
    Raises: ValueError for a circuit without edges, an n below 0, or weights that are nan; ImportError naming the extra
        without scipy.
    Source: the BlackboxNLP 2025 shared task on MIB (arXiv:2504.13151), which makes every edge an integer.
    """
    check_budget(n)
    check_wired(circuit)
    weight, stations = scores(circuit, signed=signed), structure(circuit)
    solution, bound = _solve(circuit, stations, weight, n, time_limit)
    found = [stations.on_paths(circuit, solution), grown(circuit, stations, weight, n)]
    best = max(found, key=lambda edges: weight[edges].sum())
    kept = float(weight[best].sum())
    gap = None if bound is None else max(0.0, bound - kept) / max(abs(bound), np.finfo(float).tiny)
    optimal = gap is not None and gap <= 1e-6
    return pick(circuit, best).with_details(ilp={"kept": kept, "bound": bound, "gap": gap, "optimal": optimal})


def _solve(
    circuit: Circuit, stations: Stations, weight: np.ndarray, n: int, time_limit: float
) -> tuple[Int[np.ndarray, " chosen"], float | None]:
    """The chosen edges, and the bound on what any choice can hold."""
    try:
        optimize: Any = import_module("scipy.optimize")  # has no types
    except ImportError as error:
        raise ImportError("exact selection needs scipy: pip install 'clew[probes]'") from error
    rows = _rows(circuit, stations)
    limit: Any = np.zeros(rows.shape[0])
    limit[-1] = n
    scale = float(np.abs(weight).max()) or 1.0
    result = optimize.milp(
        np.concatenate([-weight / scale, np.zeros(len(circuit))]),
        integrality=np.repeat([0, 1], [len(weight), len(circuit)]),
        bounds=optimize.Bounds(0, 1),
        constraints=optimize.LinearConstraint(rows, -np.inf, limit),
        options={"time_limit": time_limit, "mip_rel_gap": 0.0},
    )
    bound = None if result.mip_dual_bound is None else -float(result.mip_dual_bound) * scale
    chosen = np.zeros(0, np.int64) if result.x is None else np.flatnonzero(result.x[: len(weight)] > 0.5)
    return chosen, bound if bound is None or np.isfinite(bound) else None


def _rows(circuit: Circuit, stations: Stations) -> Any:
    """The constraints as a sparse matrix over (x, y), each row at most 0; the last one, the budget, at most n."""
    sparse: Any = import_module("scipy.sparse")

    edges, nodes = len(circuit.weight), len(circuit)
    edge, node = np.arange(edges), np.arange(nodes)
    inner = circuit.target != OUTPUT
    link = stations.only_reads[stations.reader]
    reader, writer = stations.reader[link], stations.writer[link]
    needs = ~stations.root
    fed = inner & needs[circuit.target]

    def table(height: int, *entries: tuple[np.ndarray, np.ndarray, int]) -> Any:
        row, column = (np.concatenate([entry[i] for entry in entries]) for i in (0, 1))
        value = np.concatenate([np.full(len(entry[0]), float(entry[2])) for entry in entries])
        return sparse.coo_array((value, (row, column)), shape=(height, edges + nodes))

    return sparse.vstack(
        [
            table(edges, (edge, edge, 1), (edge, edges + circuit.source, -1)),
            table(edges, (edge[inner], edge[inner], 1), (edge[inner], edges + circuit.target[inner], -1)),
            # A node that is in is used: by an edge, or a reader by its writer.
            table(nodes, (node, edges + node, 1), (circuit.source, edge, -1), (reader, edges + writer, -1)),
            # And it is fed: by an edge, or a writer by one of its readers.
            table(
                nodes,
                (node[needs], edges + node[needs], 1),
                (circuit.target[fed], edge[fed], -1),
                (writer, edges + reader, -1),
            ),
            table(1, (np.zeros(edges, np.int64), edge, 1)),
        ],
        format="csr",
    )
