"""Reuse: do two behaviours run on the same components?

Overlap of two circuits beside the overlap of circuits whose nodes were shuffled, and how well each circuit serves the
other's behaviour. Source: Merullo et al. 2024, "Circuit component reuse across tasks" (arXiv:2310.08744), who compare
the important heads of two tasks; the null and the cross-evaluation are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Int

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._overlap import alike, edge_ids, node_ids, on_union, placed, spread
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.readings.ablation import Ablation
from clew.report import Report, Row
from clew.sites import Site
from clew.statistics.ranks import spearman

NOTHING = "its own circuit cannot be told from one that carries nothing, so there is no share of it for reuse to state"


def reuse(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    other: Circuit,
    other_behaviour: Behaviour | None = None,
    n: int | None = None,
    draws: int = 1000,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
) -> Report:
    """How much two circuits of one model share, against chance, and whether one does the other's work.

    Args:
        circuit, other: what `behaviour` and `other_behaviour` run on, in one view.
        n: compare the n nodes of largest |score| (n edges of largest |weight| of component graphs), and give all that
            a method scored; by default the circuits as they are. See `shared`.
        draws: shuffles of the null.
        ablation, held_out, seed: as for `faithfulness`; of the cross-evaluation.

    Returns: the rows of `shared`; with `other_behaviour` also the faithfulness on both behaviours of a behaviour's own
    circuit, of the other's, and of what they share, and reuse: the faithfulness of the other's circuit over that of the
    own one, nan where that one carries nothing. Intervals over prompts.
    Raises: ValueError for circuits of two views, or of edges and of nodes, or of components without edges.
    """
    pair = comparable(circuit, other)
    rows = list(shared(*pair, n=n, draws=draws, seed=seed))
    notes = [null_note(*pair, draws)]
    one, two = (chosen(c, n) for c in pair)
    for task, own, others in ((behaviour, one, two), (other_behaviour, two, one)):
        if other_behaviour is None or task is None:
            continue
        on = half(task, "test", held_out)
        trial = trial_of(model, on, own, ablation=ablation, seed=seed)
        kinds = {"own circuit": own, "the other's circuit": others, "what both share": _both(own, others)}
        metrics = dict(zip(kinds, trial.circuit_metrics((c, False) for c in kinds.values()), strict=True))
        shares = {of: trial.share(metric) for of, metric in metrics.items()}
        every = np.arange(len(trial.whole))
        for of, share in shares.items():
            ends = trial.interval(share)
            size = trial.size(kinds[of])
            rows.append(Row("faithfulness", share(every), *ends, f"{task.name}, {of}", size, trial.prompts, trial.unit))
        low, high = trial.interval(shares["own circuit"])
        carries = shares["own circuit"](every) > 0 and not low <= 0 <= high
        ratio = _ratio(*(metrics[of] - trial.empty for of in ("the other's circuit", "own circuit")))
        ends = trial.interval(ratio) if carries else (float("nan"), float("nan"))
        rows.append(Row("reuse", ratio(every) if carries else float("nan"), *ends, task.name, None, trial.prompts))
        notes += [f"{task.name}: {note}" for note in (*trial.notes, *([] if carries else [NOTHING]))]
    return Report(f"{behaviour.name} on {model.name}: what circuits share", tuple(rows), tuple(notes))


def shared(
    circuit: Circuit, other: Circuit, *, n: int | None = None, draws: int = 1000, seed: int = 0
) -> Iterator[Row]:
    """How many nodes and edges two circuits share, beside a null; needs no model.

    The null gives the other circuit's nodes random places: at their own sites, so that as many stay at each depth
    ("within sites"), or anywhere ("over all sites"); its edges go with them. Places are all units of the view,
    times positions where nodes have them. Where circuits are cut down to `n`, places are the nodes that either held
    before: fairer against dictionaries, most of whose units never act.

    Yields: shared: how many. overlap: Jaccard. chance overlap: mean and central 95 % of the null. p: share of shuffles
    that share at least as much, itself counted in. Spearman correlation: of the scores (weights) that both hold.
    """
    pair = comparable(circuit, other)
    one, two = (chosen(c, n) for c in pair)
    nodes, edges = node_ids([one, two]), edge_ids([one, two])
    kinds = [("node", nodes, node_ids(pair), [c.score for c in pair])]
    if all(map(len, edges)):
        kinds.append(("edge", edges, edge_ids(pair), [c.weight for c in pair]))
    places, (here, there) = _places(pair, n), (_site(c, _sites(pair)) for c in (one, two))
    shuffles = {
        "within sites": _null(one, two, here, there, places, draws, seed),
        "over all sites": _null(one, two, here * 0, there * 0, places.sum(keepdims=True), draws, seed),
    }
    for column, (unit, (a, b), ids, scores) in enumerate(kinds):
        found, either = len(np.intersect1d(a, b)), len(np.union1d(a, b))
        yield Row("shared", float(found), float("nan"), float("nan"), f"{unit}s", either, 0, unit)
        yield Row("overlap", found / either if either else 1.0, float("nan"), float("nan"), f"{unit}s", either, 0, unit)
        for of, null in shuffles.items():
            counts = null[:, column]
            overlaps = counts / np.maximum(len(a) + len(b) - counts, 1)
            p = (1 + (counts >= found).sum()) / (1 + draws)
            what = f"{unit}s, {of}"
            yield Row("chance overlap", float(overlaps.mean()), *spread(overlaps.tolist()), what, either, draws, unit)
            yield Row("p", float(p), float("nan"), float("nan"), what, either, draws, unit)
        every, table = on_union(ids, scores)
        both = np.isin(every, ids[0]) & np.isin(every, ids[1])
        correlation = spearman(*table[:, both])
        yield Row("Spearman correlation", correlation, float("nan"), float("nan"), f"{unit}s", int(both.sum()), 0, unit)


def null_note(circuit: Circuit, other: Circuit, draws: int) -> str:
    """What chance is here, in words."""
    by = "unit and position" if placed(circuit) and placed(other) else "unit"
    return f"compared by {by}; p and chance from {draws} shuffles of the nodes, at their sites or over all"


def comparable(circuit: Circuit, other: Circuit) -> tuple[Circuit, Circuit]:
    """Both as they are, or without positions where only one has them or the prompts differ in length.

    Raises: ValueError where units of one number are not the same unit, or one is judged by edges and the other by nodes.
    """
    if circuit.kind.by_edges != other.kind.by_edges:
        raise ValueError(
            "one circuit is of edges between components and the other of nodes, so they have no parts in common; find both "
            "by one kind of method"
        )
    made = [c.provenance.get("dictionaries", {}) for c in (circuit, other)]
    for site in set(circuit.sites) & set(other.sites):
        prints = {m[str(site)] for m in made if str(site) in m}
        if circuit.units[site] != other.units[site] or len(prints) > 1:
            raise ValueError(
                f"the circuits see {site} through two dictionaries ({circuit.units[site]} and {other.units[site]} "
                "units), so their unit numbers have nothing in common; find both in one view"
            )
    one, two = alike([circuit, other])
    return one, two


def chosen(circuit: Circuit, n: int | None) -> Circuit:
    """The n strongest nodes, or of a component graph the n strongest edges and the nodes they join."""
    if circuit.kind.by_edges and len(circuit.weight):
        return (circuit if n is None else circuit.strongest_edges(n)).wired()
    return circuit if n is None else circuit.top(n)


def _ratio(gained: np.ndarray, needed: np.ndarray) -> Callable[[np.ndarray], float]:
    """Over some examples; of [example] parts of the metric that two circuits bring back."""
    return lambda i: float(gained[i].mean() / needed[i].mean())


def _both(one: Circuit, two: Circuit) -> Circuit:
    """The nodes of the first that the second has too; of component graphs the edges."""
    if one.kind.by_edges:
        mine, theirs = edge_ids([one, two])
        return one.keep_edges(np.isin(mine, theirs))
    mine, theirs = node_ids([one, two])
    return one.keep(np.isin(mine, theirs))


def _places(pair: tuple[Circuit, Circuit], n: int | None) -> Int[np.ndarray, " site"]:
    """How many places there are for a node at every site of either circuit."""
    sites = _sites(pair)
    if n is not None:
        index = np.concatenate([_site(c, sites) for c in pair])
        _, first = np.unique(np.concatenate(node_ids(pair)), return_index=True)
        return np.bincount(index[first], minlength=len(sites))
    units = np.array([next(c.units[s] for c in pair if s in c.units) for s in sites])
    units[np.unique(np.concatenate([_site(c, sites)[c.unit == ERROR] for c in pair]))] += 1
    return units * max(1 + int(c.position.max(initial=ANYWHERE)) for c in pair) if any(map(placed, pair)) else units


def _sites(pair: Sequence[Circuit]) -> list[Site]:
    return list(dict.fromkeys(s for c in pair for s in c.sites))


def _site(circuit: Circuit, sites: Sequence[Site]) -> Int[np.ndarray, " node"]:
    """[node] index into the sites of both circuits."""
    return np.array([sites.index(s) for s in circuit.sites], np.int64)[circuit.site]


def _null(
    one: Circuit, two: Circuit, site_one: np.ndarray, site_two: np.ndarray, places: np.ndarray, draws: int, seed: int
) -> Int[np.ndarray, "draw 2"]:
    """Shared nodes and shared edges of the first circuit and the second with its nodes at random places.

    A site's first places are those of the first circuit's nodes there, so a node of the second that lands on place i
    has landed on the i-th of them.
    """
    random, metric = np.random.default_rng(seed), len(one)
    groups = [(np.flatnonzero(site_one == s), np.flatnonzero(site_two == s), int(p)) for s, p in enumerate(places)]
    groups = [(a, b, p) for a, b, p in groups if len(a) and len(b)]
    edges = one.source * (metric + 1) + np.where(one.target == OUTPUT, metric, one.target)
    counts = np.zeros((draws, 2), np.int64)
    for count in counts:
        landed = np.full(len(two) + 1, -1)  # the last entry is OUTPUT seen as index -1
        landed[-1] = metric
        for a, b, p in groups:
            place = random.choice(p, len(b), replace=False)
            landed[b] = np.where(place < len(a), a[np.minimum(place, len(a) - 1)], -1)
        ends = landed[two.source], landed[two.target]
        there = (ends[0] >= 0) & (ends[1] >= 0)
        count[:] = (landed[:-1] >= 0).sum(), np.isin(ends[0][there] * (metric + 1) + ends[1][there], edges).sum()
    return counts
