"""Controls: a circuit's faithfulness and completeness beside those of random circuits of its size and depth."""

from __future__ import annotations

from itertools import chain

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._controls import pool_of, random_like, shared_by_chance
from clew.measures.circuits._overlap import spread
from clew.measures.circuits._parts import judged
from clew.measures.circuits._stopped import or_stopped
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.progress import Tell, until_stopped
from clew.readings.ablation import Ablation
from clew.report import Report, Row
from clew.statistics.intervals import wilson

SLACK = 1e-5
"""Two shares this near are equal but for the rounding of a run; the random circuit then counts as the better one."""


def controls(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    pool: Circuit | None = None,
    draws: int = 20,
    depth_matched: bool = True,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """How often a random circuit does as well as this one.

    Of b among the `draws` random circuits that do at least as well, p = (1 + b) / (1 + draws), the p-value of a Monte
    Carlo test of the null that the circuit is such a draw. It can be no smaller than 1 / (1 + draws).

    - faithfulness p: "as well" is a faithfulness at least as near to 1.
    - completeness p: "as well" is a completeness no higher, that is, no more of the behaviour left without it.

    Args:
        pool: what random circuits are drawn from, such as all that `find` scored; it must hold the circuit. By default
            every unit of the view, most of which do nothing if it is a sparse dictionary, or every edge.
        draws: how many random circuits. Of 20, p is 1/21 at least and known to about ±.1 near .05 (its row has the interval);
            to tell p = .01 from .05 takes some 200, at ten times the price.
        depth_matched: draw as many nodes at every site, or edges between every two layers, as the circuit has. A
            site that the circuit takes whole (an MLP as one unit) is then in every draw; False matches the number only.
        ablation, held_out, seed, progress: as for `faithfulness`.

    Returns: a Report with the circuit's rows, the mean of the random circuits with the interval that holds the middle
        95 % of them, and p with Wilson's interval of that share of draws. Costs: two forwards per prompt and draw.
    Raises: ValueError where every random circuit would be the circuit itself. Stopped at an interrupt; its result is the
        Report of the draws that were tried by then, if there is one.
    Source: the sufficiency and partial necessity tests of Shi et al. 2024 (arXiv:2410.13032); they compare mean
        distances from the model's score, prompt by prompt, where we compare shares.
    """
    if draws < 1:
        raise ValueError(f"draws={draws}; one random circuit is the least, and p cannot be below 1 / (1 + draws)")
    used = half(behaviour, "test", held_out)
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed, progress=progress, circuits=2 + 2 * draws)
    circuit = judged(trial, circuit)
    size = trial.size(circuit)
    pool = pool_of(trial, circuit, pool)
    shared = shared_by_chance(circuit, pool, depth_matched=depth_matched)
    if shared > 1 - SLACK or not size:
        raise ValueError(
            f"every random circuit like this one, of {size} {trial.unit}s, is the circuit itself; give a smaller circuit"
            + (", a larger pool, or depth_matched=False" if depth_matched else " or a larger pool")
        )
    generator = np.random.default_rng(seed)
    others = (random_like(circuit, pool, generator, depth_matched=depth_matched) for _ in range(draws))
    metrics = trial.both(chain([circuit], others))
    own = next(metrics)
    tried, stop = until_stopped(metrics)
    if stop and not tried:
        raise stop
    n, examples, rows = len(tried), np.arange(len(trial.whole)), list[Row]()
    values = np.array([[trial.share(metric)(examples) for metric in pair] for pair in tried])
    for measure, metric, theirs in zip(("faithfulness", "completeness"), own, values.T, strict=True):
        share = trial.share(metric)
        mine = share(examples)
        rows.append(Row(measure, mine, *trial.interval(share), "", size, trial.prompts, trial.unit))
        rows.append(Row(measure, float(theirs.mean()), *spread(theirs.tolist()), "random", size, n, trial.unit))
        as_well = theirs <= mine + SLACK if measure == "completeness" else abs(1 - theirs) <= abs(1 - mine) + SLACK
        p = (1 + int(as_well.sum())) / (1 + n)
        rows.append(Row(f"{measure} p", p, *wilson(float(as_well.mean()), n), "", size, n, trial.unit))
    inert = int((abs(values[:, 0]) < SLACK).sum())
    matched = "size and depth" if depth_matched else "size"
    notes = (
        f"{n} random circuits of equal {matched} from a pool of {trial.size(pool)} {trial.unit}s; they share "
        f"{shared:.0%} of their {trial.unit}s with the circuit on average, which such a match makes unavoidable",
        "random rows: mean of the draws and the interval of their middle 95 %; p: the share of draws that do as well, with "
        f"its interval; {n} draws give no p below {1 / (1 + n):.2g}",
        *([f"{inert} of the draws carry nothing at all: a weak control"] if inert else []),
    )
    report = Report(f"{behaviour.name}: random circuits beside one on {model.name}", tuple(rows), trial.notes + notes)
    return or_stopped(report, stop, f"{n} of {draws} random circuits")
