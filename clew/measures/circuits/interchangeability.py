"""Interchangeability: are the members of a group one part of the model, so that it does not matter which does what?

A resampling takes every member of every group at once, and puts in place of its value on a prompt
    donors="members"    the value of another member of its group on this prompt, in a random cyclic order;
    donors="examples"   its own value on another prompt, drawn for each member apart from the `nearest` prompts on
                        which the group's whole effect is nearest to what it is here.
kept = 1 - sum_e |m(e, resampled) - m(e)| / sum_e |m(e, ablated) - m(e)|, over prompts e, with m the metric and
"ablated" the run in which all members take their other state. 1: nobody notices; 0: as bad as having no members;
below 0: worse. The null is the same share of random groups of the same sizes, drawn from the circuit's nodes, and
p = (1 + draws that keep as much) / (1 + draws).

A unit's value is its activation (a feature) or its mix of values (a head), and the unit's own output weights write it.
So two members are interchangeable when they carry the same or when they write the same. All values are those of the
clean run. The idea of resampling what a hypothesis calls equal is that of causal scrubbing (Chan et al. 2022); the score,
in which no one says what the group computes, is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from clew.circuits.circuit import ERROR, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._overlap import spread
from clew.measures.circuits._swaps import Swaps, kept_share
from clew.models import Model
from clew.readings.contrast import Baseline
from clew.report import Report, Row, bootstrap
from clew.tables import many

Donors = Literal["members", "examples"]
Groups = list[np.ndarray]
"""Each group as indices of nodes."""


def interchangeability(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    groups: Sequence[Circuit | Sequence[str]] | None = None,
    donors: Donors = "members",
    similar: float = 0.5,
    nearest: int = 3,
    repeats: int = 2,
    draws: int = 50,
    baseline: Baseline | None = None,
    held_out: bool = True,
    seed: int = 0,
) -> Report:
    """How much of a behaviour is kept when members of a group take each other's place.

    Args:
        circuit: the nodes that groups, and the random groups beside them, are made of; error nodes are left out.
        groups: each a circuit or addresses (`head.3/1`) of nodes of `circuit`, at least two. By default they are found:
            nodes are merged (average linkage) as long as their effects correlate by `similar` over the prompts of the
            training half; what stays alone belongs to no group.
        donors: where values come from: "examples" (each member's own, on other prompts) or "members" (the others' of the
            group, on the same prompt), where a group stands at one site.
        nearest: how many prompts "examples" draws from. repeats: resamplings to average over.
        draws: how many random groupings.
        baseline: the state of ablated members; the patch prompts' by default, zero where there are none.
        held_out: judge on the behaviour's test half; False judges, and groups, on all that is given.

    Returns: a Report with the rows kept (all groups, then each), null (median and 95 % range of the draws) and p.
    Raises: ValueError for groups that cannot be resampled, or whose ablation leaves the metric as it is.
    Costs: repeats x (draws + groups) + draws forwards per batch, and one backward.
    """
    if donors not in get_args(Donors):
        raise ValueError(f"donors={donors!r} is unknown; choose {' or '.join(get_args(Donors))}")
    if min(repeats, draws, nearest) < 1:
        raise ValueError(f"repeats={repeats}, draws={draws} and nearest={nearest}: each must be at least 1")
    nodes = circuit.keep(circuit.unit != ERROR)
    swaps = Swaps(model, half(behaviour, "test", held_out), nodes, baseline, seed)
    place = nodes.site if donors == "members" else np.zeros_like(nodes.site)
    if groups is None:
        seen = Swaps(model, behaviour.train, nodes, baseline, seed) if held_out else swaps
        chosen = _clusters(np.concatenate(seen.effects), place, similar)
    else:
        chosen = [_members(nodes, group) for group in groups]
    _check(nodes, chosen, swaps, donors)
    donor = _other_members if donors == "members" else partial(_other_examples, swaps, nearest)

    def damage(some: Groups, draw: int) -> tuple[np.ndarray, np.ndarray]:
        """|change of the metric| of every prompt, [example]: resampled, and ablated."""
        rng = np.random.default_rng([seed, draw])
        resampled = np.mean([swaps.change(lambda b: donor(b, some, swaps.values[b], rng)) for _ in range(repeats)], 0)
        return resampled, swaps.change(lambda b: {u: swaps.others[b][u] for g in some for u in g.tolist()})

    asked, rows = swaps.asked, []
    n = len(set(asked))
    named = {f"{len(chosen)} groups": chosen} if len(chosen) > 1 else {}
    for of, some in (named | {_name(nodes, g): [g] for g in chosen}).items():
        moved, lost = damage(some, 0)
        low, high = bootstrap(lambda i, m=moved, a=lost: kept_share(m[i], a[i]), asked, seed=seed)
        rows.append(Row("kept", kept_share(moved, lost), low, high, of, sum(map(len, some)), n))
    if np.isnan(rows[0].value):
        raise ValueError("ablating all members leaves the metric as it is, so there is nothing to keep; choose others")
    notes = [
        f"values of other {donors}, {repeats} resamplings; ablation to {swaps.contrast.baseline}; {many(n, 'prompt')}"
    ]
    others = any((place == place[group[0]]).sum() > len(group) for group in chosen)
    rng = np.random.default_rng(seed)
    null = [kept_share(*damage(_shuffled(chosen, place, rng), 1 + i)) for i in range(draws if others else 0)]
    null = np.array([share for share in null if np.isfinite(share)])
    if len(null):
        p = (1 + (null > rows[0].value - 1e-9).sum()) / (1 + len(null))
        rows.append(Row("null", float(np.median(null)), *spread(null.tolist()), "random groups", rows[0].nodes, n))
        rows.append(Row("p", float(p), float("nan"), float("nan"), f"of {len(null)} draws", rows[0].nodes, n))
    else:
        notes.append("no null: the circuit has no other groups of these sizes that do anything")
    return Report(f"{behaviour.name} on {model.name}: interchangeability", tuple(rows), tuple(notes))


# Who gives its value to whom.


def _other_members(b: int, groups: Groups, values: list[Tensor], rng: np.random.Generator) -> dict[int, Tensor]:
    """The value of the next member, in a random cyclic order."""
    orders = [rng.permutation(group) for group in groups]
    return {int(u): values[v] for order in orders for u, v in zip(order, np.roll(order, 1), strict=True)}


def _other_examples(
    swaps: Swaps, nearest: int, b: int, groups: Groups, values: list[Tensor], rng: np.random.Generator
) -> dict[int, Tensor]:
    """Its own value on another prompt of the batch, one of those on which the group's effect is nearest."""
    held = {}
    for group in groups:
        effect = swaps.effects[b][:, group].sum(1)
        distance = np.abs(effect[:, None] - effect)
        np.fill_diagonal(distance, np.inf)
        near = np.argsort(distance, axis=1, kind="stable")[:, : min(nearest, len(effect) - 1)]
        for u in group:
            pick = near[np.arange(len(near)), rng.integers(near.shape[1], size=len(near))]
            held[int(u)] = values[u][torch.from_numpy(pick)]
    return held


# Groups.


def _members(nodes: Circuit, group: Circuit | Sequence[str]) -> np.ndarray:
    """The nodes of a group as indices, in the circuit's order."""
    parts = [group] if isinstance(group, Circuit) else [nodes[name] for name in group]
    keys = list(chain.from_iterable(part.keys() for part in parts))
    known = {key: i for i, key in enumerate(nodes.keys())}
    if strange := [key for key in keys if key not in known]:
        raise ValueError(f"a group has the node {strange[0]}, which the circuit does not; groups are made of its nodes")
    return np.unique([known[key] for key in keys])


def _check(nodes: Circuit, groups: Groups, swaps: Swaps, donors: Donors) -> None:
    if not groups:
        raise ValueError("no two nodes have similar effects, so there is no group; give groups= or a lower similar=")
    everyone = np.concatenate(groups)
    if min(map(len, groups)) < 2 or len(np.unique(everyone)) < len(everyone):
        raise ValueError("a group needs at least two nodes, and a node may be in one group only")
    for group in groups:
        kinds = {(nodes.site[u], swaps.values[0][u].shape) for u in group}
        if donors == "members" and len(kinds) > 1:
            raise ValueError(
                f"the members of {_name(nodes, group)} stand at several sites or differ in size, so they cannot take "
                "each other's place; use donors='examples'"
            )
    if donors == "examples" and any(len(b.clean) < 2 for b in swaps.contrast.batches):
        raise ValueError(
            "there is a prompt with no other of its length; keep one length with behaviour.of_length(model)"
        )


def _name(nodes: Circuit, group: np.ndarray) -> str:
    return " ".join(node.address for node in nodes.keep(group))


def _shuffled(groups: Groups, place: np.ndarray, rng: np.random.Generator) -> Groups:
    """Groups of the same sizes, of other nodes at the same sites."""
    pool = {p: rng.permutation(np.flatnonzero(place == p)).tolist() for p in np.unique(place)}
    return [np.array([pool[place[g[0]]].pop() for _ in g]) for g in groups]


def _clusters(effect: np.ndarray, place: np.ndarray, similar: float) -> Groups:
    """Nodes at one place merged by the average correlation of their effects, [example, node], while it is `similar`."""
    size = np.linalg.norm(centred := effect - effect.mean(0), axis=0)
    unit = centred / np.where(size > 0, size, 1)
    close = np.where(place[:, None] == place, unit.T @ unit, -np.inf)
    np.fill_diagonal(close, -np.inf)
    groups = {i: [i] for i in range(len(place))}
    while len(groups) > 1:
        i, j = sorted(divmod(int(close.argmax()), len(close)))
        if close[i, j] < similar:
            break
        close[i] = (len(groups[i]) * close[i] + len(groups[j]) * close[j]) / (len(groups[i]) + len(groups[j]))
        close[:, i] = close[i]
        close[i, i] = close[j] = close[:, j] = -np.inf
        groups[i] += groups.pop(j)
    return [np.array(sorted(g)) for g in groups.values() if len(g) > 1]
