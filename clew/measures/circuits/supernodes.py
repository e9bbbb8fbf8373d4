"""Supernodes: do the members of each group act as one, and as the circuit says?

Two tests, each beside random groups of the same sizes, of nodes at the same sites and positions:
    joint   the drop of the metric when all members are ablated at once, against `predicted`: the scores of the members,
            each less the part that comes to it from the others. In a linear model the two are equal.
    kept    members stand in for one another: one half of them is ablated and the other half's values are stretched, away
            from their ablated state, so that together they should do what all did. 1 - sum_e |m(e, so) - m(e)| /
            sum_e |m(e, ablated) - m(e)| over prompts e: 1 where nobody notices, 0 where it is as bad as having no members.
A group is accepted if its joint effect is within `tolerance` of what was predicted and at least half is kept. Both tests are
ours; validation of groups by joint ablation follows Ameisen et al. 2025, Circuit Tracing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from torch import Tensor

from clew.circuits.circuit import ERROR, OUTPUT, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._swaps import Swaps, kept_share
from clew.measures.circuits.predicted_effects import with_prompt
from clew.models import Model
from clew.progress import Loops, Tell
from clew.readings.contrast import Baseline, found_with
from clew.report import Report, Row, bootstrap

KEPT = 0.5
"""What a group must keep to be accepted."""
Group = list[int]
"""Indices of nodes."""


def supernodes(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    tolerance: float = 0.2,
    repeats: int = 4,
    draws: int = 5,
    baseline: Baseline | None = None,
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """Whether each supernode of a circuit acts as one and as predicted; `accepted(circuit, report)` notes it in the circuit.

    Args:
        circuit: with supernodes, as `clew.circuits.grouping.grouped` makes them.
        tolerance: how far the joint effect may be from the prediction, as a share of it.
        repeats: how many halves of each group stand in for the other. draws: random groupings for the comparison.
        baseline: what ablated members become; by default what the circuit was found with (an attribution graph's: zero).
        held_out: on the behaviour's test half; False on all that is given. An attribution graph is tried on its prompt.
        progress: told after each group.

    Returns: a Report with the rows predicted, joint, kept and accepted (1 or 0) of each group; then, of all groups and of the
        random ones, the shares accepted and within the tolerance, the median kept of those that do something, and the share
        of all |weight| that lies inside groups.
    Costs: (1 + repeats) forwards a group, on all prompts. Raises: ValueError for a circuit without supernodes, of another
        view, or whose scores are no effects on the metric.
    """
    _check(circuit, tolerance, repeats, draws)
    prompt = circuit.kind.prompt if circuit.kind.of == "prompt_graph" else None
    used = with_prompt(model, behaviour, prompt.token_ids) if prompt else half(behaviour, "test", held_out)
    held = np.array([i for i in range(len(circuit)) if _can_be_held(model, circuit, i)], int)
    index = {node.address: i for i, node in enumerate(circuit)}
    groups = [[index[member] for member in node.members] for node in circuit.supernodes]
    if strange := sorted({i for group in groups for i in group} - set(held.tolist())):
        raise ValueError(f"{circuit[strange[0]].address} is no unit of this view, so its group cannot be ablated")
    swaps = Swaps(model, used, circuit.keep(held), baseline or ("zero" if prompt else found_with(circuit)), seed)
    trial = _Trial(circuit, swaps, {int(i): at for at, i in enumerate(held)}, tolerance, repeats, seed)
    random = np.random.default_rng(seed)
    others = [group for _ in range(draws) for group in _drawn(circuit, held, groups, random)]
    tests = [trial.test(group) for group in Loops(progress).over([*groups, *others])]
    found, drawn = tests[: len(groups)], tests[len(groups) :]
    n = len(swaps.asked)
    rows = [row for node, test in zip(circuit.supernodes, found, strict=True) for row in test.rows(node.name, trial)]
    for of, some in ((f"{len(found)} groups", found), (f"{len(drawn)} random groups", drawn)):
        if some:
            rows += [Row(name, value, np.nan, np.nan, of, None, n) for name, value in _shares(some)]
    rows.append(Row("hidden", _hidden(circuit, groups), np.nan, np.nan, f"{len(found)} groups", None, n))
    return Report(
        f"{behaviour.name} on {model.name}: supernodes",
        tuple(rows),
        (
            f"ablation to {swaps.contrast.baseline}; {len(set(swaps.asked))} prompts; {repeats} halves stand in for a group",
            f"accepted: joint within {tolerance:.0%} of predicted, and at least {KEPT:.0%} kept",
            "hidden: the share of the edges' |weight| between members of one group",
        ),
    )


def accepted(circuit: Circuit, report: Report) -> Circuit:
    """The circuit whose supernodes say whether they were accepted. Raises: KeyError for one that was not tested."""
    told = {row.of: row.value for row in report.rows if row.measure == "accepted"}
    return circuit.with_supernodes(replace(node, accepted=bool(told[node.name])) for node in circuit.supernodes)


@dataclass(frozen=True)
class Test:
    """What was seen of one group."""

    predicted: float
    drop: Float[np.ndarray, " example"]
    """Of the metric, all members ablated."""
    lost: Float[np.ndarray, " example"]
    """|Change of the metric| with halves standing in for the group, on average over the halves."""
    tolerance: float
    size: int

    @property
    def joint(self) -> float:
        return float(self.drop.mean())

    @property
    def kept(self) -> float:
        """1 - sum |change, standing in| / sum |change, ablated|; nan where ablation changes nothing."""
        return kept_share(self.lost, np.abs(self.drop))

    @property
    def within(self) -> bool:
        return abs(self.joint - self.predicted) <= self.tolerance * abs(self.predicted)

    @property
    def accepted(self) -> bool:
        return self.within and self.kept >= KEPT

    def rows(self, of: str, trial: _Trial) -> Iterator[Row]:
        def row(name: str, value: float, low: float = np.nan, high: float = np.nan) -> Row:
            return Row(name, value, low, high, of, self.size, len(trial.swaps.asked))

        yield row("predicted", self.predicted)
        yield row("joint", self.joint, *trial.interval(lambda i: float(self.drop[i].mean())))
        yield row("kept", self.kept, *trial.interval(lambda i: kept_share(self.lost[i], np.abs(self.drop[i]))))
        yield row("accepted", float(self.accepted))


@dataclass(frozen=True)
class _Trial:
    """Runs of the model in which members of groups are ablated, or stand in for one another."""

    circuit: Circuit
    swaps: Swaps
    place: Mapping[int, int]
    """Where among the nodes of `swaps` a node of the circuit is."""
    tolerance: float
    repeats: int
    seed: int

    def interval(self, statistic: Callable[[np.ndarray], float]) -> tuple[float, float]:
        return bootstrap(statistic, self.swaps.asked, seed=self.seed)

    def test(self, group: Group) -> Test:
        own = self._own(group)
        drop = self.swaps.drop(lambda b: {self.place[i]: self.swaps.others[b][self.place[i]] for i in group})
        random = np.random.default_rng([self.seed, *group])
        halves = [random.permutation(len(group))[: len(group) // 2] for _ in range(self.repeats)]
        lost = [np.abs(self.swaps.drop(partial(self._standing_in, group, own, half))) for half in halves]
        return Test(float(own.sum()), drop, np.mean(lost, axis=0), self.tolerance, len(group))

    def _own(self, group: Group) -> Float[np.ndarray, " member"]:
        """The score of each member, less what comes to it from the other members, through nodes in between too."""
        gone = np.zeros(len(self.circuit))
        gone[group] = 1
        for _ in self.circuit.sites:
            gone = np.clip(self._passed(gone), -1, 1)  # what lies between is lost once at most
            gone[group] = 1
        return self.circuit.score[group] * (1 - self._passed(gone)[group])

    def _passed(self, gone: Float[np.ndarray, " node"]) -> Float[np.ndarray, " node"]:
        """What share of each node goes when these shares of its sources do."""
        return np.bincount(self._target, self._share * gone[self._source], len(gone)).astype(np.float64)

    @cached_property
    def _inner(self) -> np.ndarray:
        """Edges between nodes."""
        return self.circuit.target != OUTPUT

    @cached_property
    def _source(self) -> np.ndarray:
        return self.circuit.source[self._inner]

    @cached_property
    def _target(self) -> np.ndarray:
        return self.circuit.target[self._inner]

    @cached_property
    def _share(self) -> Float[np.ndarray, " edge"]:
        """What share of the target, or of its effect, an edge carries."""
        whole = self.circuit.score
        if self.circuit.kind.of == "prompt_graph":
            known = self.circuit.details.get("activation", {})
            whole = np.array([known.get(node.address, np.nan) for node in self.circuit])
        total = whole[self._target]
        return np.nan_to_num(
            np.divide(self.circuit.weight[self._inner], total, where=total != 0, out=np.zeros(len(total)))
        )

    def _standing_in(self, group: Group, own: np.ndarray, half: np.ndarray, b: int) -> dict[int, Tensor]:
        """Values in which one half of the members has the ablated ones, and the others are stretched to make up for it."""
        rest = own.sum() - own[half].sum()
        stretch = float(np.clip(own.sum() / rest, 0, len(group))) if rest else 0.0
        held: dict[int, Tensor] = {}
        for at, i in enumerate(group):
            here, other = (values[b][self.place[i]] for values in (self.swaps.values, self.swaps.others))
            held[self.place[i]] = other + (0.0 if at in half else stretch) * (here - other)
        return held


def _check(circuit: Circuit, tolerance: float, repeats: int, draws: int) -> None:
    circuit.kind.check_ablatable()
    if not circuit.supernodes:
        raise ValueError("the circuit has no supernodes; group its nodes with clew.circuits.grouping.grouped(circuit)")
    if circuit.kind.by_edges or not circuit.kind.in_metric_units:
        raise ValueError(
            "groups are tested by what their nodes' scores predict, and these are no effects on the metric"
        )
    if not tolerance > 0 or repeats < 1 or draws < 0:
        raise ValueError(
            f"tolerance={tolerance}, repeats={repeats}, draws={draws}: give more than 0, at least 1, at least 0"
        )


def _can_be_held(model: Model, circuit: Circuit, i: int) -> bool:
    return int(circuit.unit[i]) != ERROR and circuit.sites[int(circuit.site[i])] in model.dictionaries


def _drawn(circuit: Circuit, held: np.ndarray, groups: Sequence[Group], random: np.random.Generator) -> Iterator[Group]:
    """For each group one of as many nodes, at the same sites and positions; where there are no others, the same."""
    for group in groups:
        left = set(held.tolist())
        drawn: Group = []
        for i in group:
            alike = (circuit.site == circuit.site[i]) & (circuit.position == circuit.position[i])
            drawn.append(int(random.choice([j for j in np.flatnonzero(alike).tolist() if j in left])))
            left.remove(drawn[-1])
        yield drawn


def _shares(tests: Sequence[Test]) -> Iterator[tuple[str, float]]:
    yield "accepted", float(np.mean([test.accepted for test in tests]))
    yield "within", float(np.mean([test.within for test in tests]))
    known = [test.kept for test in tests if np.isfinite(test.kept)]  # of a group that does nothing, nothing can be kept
    yield "kept", float(np.median(known)) if known else float("nan")


def _hidden(circuit: Circuit, groups: Sequence[Group]) -> float:
    """The share of all |weight| that lies between members of one group."""
    of = np.full(len(circuit) + 1, -1)  # the last is the metric
    for g, group in enumerate(groups):
        of[group] = g
    size = np.abs(circuit.weight)
    inside = (of[circuit.source] == of[circuit.target]) & (of[circuit.source] >= 0)
    return float(size[inside].sum() / size.sum()) if size.sum() else float("nan")
