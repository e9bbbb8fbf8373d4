"""Hypothesis tests of a circuit: does it match the model, does nothing remain without it, is every part needed?

Source: Shi et al. 2024, "Hypothesis testing the circuit hypothesis in LLMs" (arXiv:2410.13032). Each null
says that the circuit is ideal in one respect, so a small p speaks against the circuit, and a large one may only
mean that there were few prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._controls import held, pool_of, random_path
from clew.measures.circuits._parts import judged, names
from clew.measures.circuits._stopped import or_stopped
from clew.measures.circuits._trial import Trial
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.progress import Tell, until_stopped
from clew.readings.ablation import Ablation
from clew.report import Report, Row, bootstrap
from clew.statistics.intervals import wilson
from clew.statistics.tests import binomial, holm, hsic, near_half
from clew.values import Value

ROUNDING = 1e-5
"""Metrics that differ by less than this share of the way from whole to empty are equal."""


@dataclass(frozen=True)
class Minimality(Value):
    """How it is tested that every part of a circuit is needed."""

    quantile: float = 0.9
    """How often taking a part out must change more than taking a superfluous one; 0.9, as in the paper."""
    draws: int = 25
    """How many inflated circuits. Against 25, of 30 parts one that does nothing is found with a chance of .95; against 50 of
    1.00, of 100 parts too."""
    limit: int = 30
    """At most this many parts, drawn by `seed`; the share of superfluous ones of 30 is known to about ±.18."""


def hypothesis_tests(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    pool: Circuit | None = None,
    epsilon: float = 0.1,
    permutations: int = 1000,
    minimality: Minimality = Minimality(),
    alpha: float = 0.05,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """Equivalence, independence and minimality of a circuit, each with the p-value of its null.

    - equivalence: the circuit's metric is above the model's on a share of prompts within `epsilon` of one half. A
      binomial test; ties, where both agree up to rounding, count half.
    - independence: the metric without the circuit is independent of the model's. Permutations of the Hilbert-Schmidt
      criterion. What the ablated model itself shares with the whole one speaks against it too: the embedding, answers
      that are likely anyway, and above all patch prompts, whose metric mirrors that of the clean ones. "Beyond empty"
      asks the same of what the rest of the model adds to the ablated one, where none of these is left.
    - minimality: taking a part (a node, or an edge where edges are judged) out of the circuit changes the metric more
      than taking a superfluous part out of a circuit inflated by it, with a probability of at least its `quantile`. A
      binomial test for each part, Holm's correction over them. A change is the mean over prompts of |difference|; a
      superfluous part is a random node of the pool, or a random edge of a random path, that the circuit does not hold.

    Args:
        pool: as for `controls`; superfluous parts are drawn from it.
        epsilon: 0.1, as in the paper; below 0.5.
        permutations: of the prompts, for independence.
        minimality: against how many draws, how often and of how many parts it is tested.
        alpha: level of each test.
        ablation, held_out, seed, progress: as for `faithfulness`.

    Returns: a Report with the rows equivalence, independence and minimality, whose value is p, each followed by its
        statistic: the share of wins, the criterion, and the share of parts found superfluous; notes say what was
        decided. Where not every part was tested, the share has Wilson's interval. Costs: four forwards per prompt, one per
        part, and one per draw (two where edges are judged).
    Raises: ValueError for what is no probability, or a pool that lacks a part of the circuit. Stopped at an interrupt; its
        result is the Report of the first two tests, and of the third on the parts that were tested by then.
    Differs: ties, "beyond empty", Holm where the paper has Bonferroni, and nodes beside edges.
    """
    _check({"epsilon": (epsilon, 0.5), "quantile": (minimality.quantile, 1.0), "alpha": (alpha, 1.0)})
    for name, value in (("draws", minimality.draws), ("limit", minimality.limit), ("permutations", permutations)):
        if value < 1:
            raise ValueError(f"{name}={value}; give at least 1")
    used = half(behaviour, "test", held_out)
    once = minimality.draws * (2 if circuit.kind.by_edges else 1) + minimality.limit
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed, progress=progress, circuits=2 + once)
    circuit = judged(trial, circuit)
    pool = pool_of(trial, circuit, pool)
    size, n = trial.size(circuit), trial.prompts
    trial.expected -= max(0, minimality.limit - size)
    equal = ROUNDING * abs(float((trial.whole - trial.empty).mean()))
    kept, left = trial.circuit_metric(circuit), trial.circuit_metric(circuit, complement=True)

    whole, empty, inside, outside = map(trial.by_prompt, (trial.whole, trial.empty, kept, left))
    ahead = inside - whole
    wins = (ahead > equal) + 0.5 * (np.abs(ahead) <= equal)
    matches = near_half(float(wins.sum()), n, epsilon)
    depends, independent = hsic(outside, whole, permutations=permutations, seed=seed)
    added = np.where(np.abs(outside - empty) <= equal, 0, outside - empty)
    _, beyond = hsic(added, whole, permutations=permutations, seed=seed)
    parts, each, count, stop = _minimality(trial, circuit, pool, kept, equal, minimality, seed)
    corrected = holm(each)
    needed = float(corrected.min()) if len(each) else float("nan")
    superfluous = [part for part, p in zip(parts, corrected, strict=True) if p < alpha]

    def row(test: str, value: float, of: str = "p", examples: int = n) -> Row:
        return Row(test, value, float("nan"), float("nan"), of, size, examples, trial.unit)

    low, high = bootstrap(lambda i: float(wins[i].mean()), n, seed=seed)
    rows = (
        row("equivalence", matches),
        Row("equivalence", float(wins.mean()), low, high, "share of wins", size, n, trial.unit),
        row("independence", independent),
        row("independence", depends, "HSIC"),
        row("independence", beyond, "p beyond empty"),
        row("minimality", needed, examples=len(each)),
        _share(len(superfluous), len(each), size, trial.unit),
    )
    some = ", ".join(superfluous[:10]) + (f" and {len(superfluous) - 10} more" if len(superfluous) > 10 else "")
    notes = (
        f"equivalence: null: the circuit beats the model on {0.5 - epsilon:.0%} to {0.5 + epsilon:.0%} of prompts; it did on "
        f"{wins.mean():.0%} of {n}, {_decision(matches, alpha)}; {_weakest(n, epsilon, alpha)}",
        f"independence: null: the metric without the circuit says nothing about the model's; HSIC {depends:.4f}, "
        f"{_decision(independent, alpha)} by {permutations} permutations; of what it adds to the empty one, "
        f"{_decision(beyond, alpha)}",
        f"minimality: null of each {trial.unit}: taking it out matters more than taking a random {trial.unit} out of an "
        f"inflated circuit, in {minimality.quantile:.0%} of cases; {len(each)} of {size} {trial.unit}s against {count} "
        "draws, Holm's correction: "
        + (
            f"{len(superfluous)} superfluous{': ' if some else ''}{some}"
            if each.size
            else "stopped before any was tested"
            if stop
            else "no superfluous part could be drawn, so nothing was tested"
        ),
        f"each test at the level {alpha}; a null that is kept is not thereby shown",
    )
    report = Report(f"{behaviour.name}: tests of {size} {trial.unit}s on {model.name}", rows, trial.notes + notes)
    return or_stopped(
        report, stop, f"{len(each)} of {min(size, minimality.limit)} parts; the other two tests are whole"
    )


def _share(superfluous: int, tested: int, size: int, unit: str) -> Row:
    """The share of superfluous parts; an interval where only some were tested."""
    value = superfluous / tested if tested else float("nan")
    low, high = wilson(value, tested) if 0 < tested < size else (float("nan"), float("nan"))
    return Row("minimality", value, low, high, "superfluous", size, tested, unit)


def _check(probabilities: Mapping[str, tuple[float, float]]) -> None:
    """Raises: ValueError for one that is not above 0 and below its bound."""
    for name, (value, top) in probabilities.items():
        if not 0 < value < top:
            raise ValueError(f"{name}={value} is a probability above 0 and below {top:g}")


def _decision(p: float, alpha: float) -> str:
    return f"p = {p:.3g}: {'rejected' if p < alpha else 'kept'}"


def _weakest(n: int, epsilon: float, alpha: float) -> str:
    """What the test of equivalence can see at all with so many prompts."""
    seen = next((wins for wins in range(-(-n // 2), n + 1) if near_half(wins, n, epsilon) < alpha), None)
    return (
        "no outcome could reject it with so few prompts" if seen is None else f"from {seen / n:.0%} on it is rejected"
    )


def _minimality(
    trial: Trial,
    circuit: Circuit,
    pool: Circuit,
    kept: np.ndarray,
    equal: float,
    how: Minimality,
    seed: int,
) -> tuple[list[str], Float[np.ndarray, " part"], int, KeyboardInterrupt | None]:
    """Names of the parts tested, the p of each, how many superfluous ones they were compared with; and what stopped it.

    Parts are taken in a random order, so that those before an interrupt are a sample.
    """
    random, mine = np.random.default_rng(seed), held(pool, circuit)
    drawn, stop = until_stopped(_idle(trial, pool, mine, kept, how.draws, random))
    if stop or not drawn:
        return [], np.zeros(0), len(drawn), stop
    idle, order = np.array(drawn), random.permutation(np.flatnonzero(mine))[: how.limit]
    law = np.cumsum(binomial(len(idle), how.quantile))

    def without(part: int) -> np.ndarray:
        rest = mine.copy()
        rest[part] = False
        return rest

    changes, stop = until_stopped(_change(trial, pool, without(part), kept) for part in order.tolist())
    p = np.array([min(1.0, float(law[int((change > idle + equal).sum())])) for change in changes])
    tested = order[: len(p)]
    in_order = np.argsort(tested)
    called = names(trial.draw(pool, tested[in_order]), "edge" if trial.unit == "edge" else "node")
    return called, p[in_order], len(idle), stop


def _idle(
    trial: Trial, pool: Circuit, mine: np.ndarray, kept: np.ndarray, draws: int, random: np.random.Generator
) -> Iterator[float]:
    """The change of the metric when a random part is taken out of a circuit that was inflated by it."""
    if mine.all():
        return
    if trial.unit == "node":
        for node in random.choice(np.flatnonzero(~mine), draws):
            inflated = mine.copy()
            inflated[node] = True
            yield _change(trial, pool, inflated, kept)  # without that node it is the circuit again
        return
    paths = (random_path(pool, random) for _ in range(100 * draws))
    for path in islice((path for path in paths if not mine[path].all()), draws):  # the others would inflate nothing
        inflated = mine.copy()
        inflated[path] = True
        whole = trial.circuit_metric(trial.draw(pool, np.flatnonzero(inflated)))
        inflated[random.choice(path[~mine[path]])] = False
        yield _change(trial, pool, inflated, whole)


def _change(trial: Trial, pool: Circuit, mask: np.ndarray, before: np.ndarray) -> float:
    return float(np.abs(trial.circuit_metric(trial.draw(pool, np.flatnonzero(mask))) - before).mean())
