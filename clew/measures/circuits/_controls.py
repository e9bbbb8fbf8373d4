"""Random circuits to hold a circuit against: of its size, its depth profile, or one random path larger."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.measures.circuits._edges import EdgeTrial
from clew.measures.circuits._nodes import NodeTrial
from clew.measures.circuits._overlap import edge_ids, node_ids
from clew.measures.circuits._parts import judged
from clew.measures.circuits._trial import Trial
from clew.sites import Site


def random_like(
    circuit: Circuit, pool: Circuit, generator: np.random.Generator, *, depth_matched: bool = True
) -> Circuit:
    """A circuit of as many parts as `circuit`, drawn without replacement from `pool`: nodes, or edges of components.

    Args: depth_matched: as many nodes (and as many error nodes) at every site; of edges, as many between every two
        layers. Otherwise only the number is the same.
    Raises: ValueError where the pool is too small.
    """
    have, want = _kinds(circuit, pool, depth_matched)
    counts = np.bincount(want, minlength=max(have.max(initial=-1), want.max(initial=-1)) + 1)
    offered = np.bincount(have, minlength=len(counts))
    if (counts > offered).any():
        worst = int(np.argmax(counts - offered))
        raise ValueError(
            f"the circuit has {counts[worst]} parts at one depth where the pool has {offered[worst]}; give a pool that "
            "holds the circuit, such as all that a method scored"
        )
    # Shuffle, then sort by kind, which keeps the shuffled order within a kind; its first parts are the draw.
    order = generator.permutation(len(have))
    order = order[np.argsort(have[order], kind="stable")]
    rank = np.arange(len(have)) - (np.cumsum(offered) - offered)[have[order]]
    chosen = np.sort(order[rank < counts[have[order]]])
    return pool.keep_edges(chosen).wired() if circuit.kind.by_edges else pool.keep(chosen)


def shared_by_chance(circuit: Circuit, pool: Circuit, *, depth_matched: bool = True) -> float:
    """The share of a circuit's parts that a random circuit like it has too, on average: sum n_k^2 / N_k over sum n_k.

    n_k is the number of parts of the circuit of a kind, N_k that of the pool; 1 where there is nothing to choose.
    """
    have, want = _kinds(circuit, pool, depth_matched)
    kinds, counts = np.unique(want, return_counts=True)
    offered = np.bincount(have, minlength=int(kinds.max(initial=0)) + 1)[kinds]
    return float((counts**2 / offered).sum() / max(1, counts.sum()))


def _kinds(circuit: Circuit, pool: Circuit, depth_matched: bool) -> tuple[Int[np.ndarray, " part"], ...]:
    """A number for each part of the pool and of the circuit, equal for parts that may stand for each other."""
    edges = circuit.kind.by_edges
    if edges != pool.kind.by_edges:
        raise ValueError(
            "a circuit of the component graph needs a pool of its edges, and one of a view a pool of nodes"
        )
    if not depth_matched:
        return tuple(np.zeros(len(c.weight) if edges else len(c), np.int64) for c in (pool, circuit))
    found = []
    place = {site: i for i, site in enumerate(sorted({*pool.sites, *circuit.sites}))}
    deepest = max((site.layer or 0 for site in place), default=0) + 2
    for c in (pool, circuit):
        if edges:
            layer = np.array([*([_layer(s) for s in c.sites]), deepest])[np.append(c.site, len(c.sites))]
            found.append((layer[c.source] + 1) * (deepest + 2) + layer[c.target] + 1)
        else:
            site = np.array([place[s] for s in c.sites], np.int64)[c.site]
            found.append(2 * site + (c.unit == ERROR))
    return tuple(found)


def _layer(site: Site) -> int:
    return -1 if site.layer is None else site.layer


def pool_of(trial: Trial, circuit: Circuit, pool: Circuit | None) -> Circuit:
    """What random circuits are drawn from: the given pool, or all that the trial can take away.

    Of a view those are all units, at the positions at which the circuit has nodes, and the errors if it has any.
    Raises: ValueError for a pool that does not hold the circuit.
    """
    if pool is not None:
        pool = judged(trial, pool)
        held(pool, circuit)
        return pool
    if isinstance(trial, EdgeTrial):
        return trial.graph.circuit(torch.zeros(trial.graph.legal.shape))
    assert isinstance(trial, NodeTrial)
    errors, positions = bool((circuit.unit == ERROR).any()), np.unique(circuit.position)
    positions = positions[:1] if ANYWHERE in positions else positions
    columns: dict[str, list[np.ndarray]] = {"site": [], "unit": [], "position": []}
    sizes = {site: trial.model.dictionaries[site].n_units for site in trial.sites}
    for i, (site, n) in enumerate(sizes.items()):
        units = np.arange(ERROR if errors and not trial.model.dictionaries[site].exact else 0, n)
        columns["site"].append(np.full(len(units) * len(positions), i))
        columns["unit"].append(np.tile(units, len(positions)))
        columns["position"].append(np.repeat(positions, len(units)))
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    unknown = np.full(len(whole["site"]), np.nan)
    site, unit, position = whole.values()
    return Circuit(tuple(sizes), sizes, site, unit, position, score=unknown, patch_mean=unknown)


def held(pool: Circuit, circuit: Circuit) -> Bool[np.ndarray, " part"]:
    """Which parts of the pool are in the circuit. Raises: ValueError where the circuit has others."""
    ids = edge_ids if circuit.kind.by_edges else node_ids
    every, own = ids([pool, circuit])
    if lacking := int((~np.isin(own, every)).sum()):
        raise ValueError(
            f"{lacking} of the circuit's {len(own)} parts are not in the pool; give a pool that holds the circuit, such as "
            "all that a method scored"
        )
    return np.isin(every, own)


def random_path(pool: Circuit, generator: np.random.Generator) -> Int[np.ndarray, " edge"]:
    """Edges of a component graph that lead from the embedding to the output, drawn backwards, one at each step.

    Each step draws an edge into the reader at hand; where it comes from a head, the path goes on through that head's
    queries, keys or values. It ends early where the pool has no edge into a reader.
    """
    index = {(str(pool.sites[s]), int(u)): i for i, (s, u) in enumerate(zip(pool.site, pool.unit, strict=True))}
    path: list[int] = []
    reader: int | None = OUTPUT
    while reader is not None and len(edges := np.flatnonzero(pool.target == reader)):
        path.append(int(generator.choice(edges)))
        node = pool.source[path[-1]]
        site, unit = pool.sites[pool.site[node]], int(pool.unit[node])
        if site.part == "embed":
            break
        into = Site("qkv"[generator.integers(3)] if site.part == "head" else f"{site.part}_in", site.layer)
        reader = index.get((str(into), unit * pool.units[into] // pool.units[site]))
    return np.array(path, np.int64)
