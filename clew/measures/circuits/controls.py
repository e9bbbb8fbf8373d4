"""Controls: a circuit's faithfulness and completeness beside those of random circuits of its size and depth."""

from __future__ import annotations

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._controls import pool_of, random_like, shared_by_chance
from clew.measures.circuits._overlap import spread
from clew.measures.circuits._parts import judged
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.readings.ablation import Ablation
from clew.report import Report, Row, bootstrap

SLACK = 1e-9
"""Two shares this near are equal; the random circuit then counts as the better one."""


def controls(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    pool: Circuit | None = None,
    draws: int = 100,
    depth_matched: bool = True,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
) -> Report:
    """How often a random circuit does as well as this one.

    Of b among the `draws` random circuits that do at least as well, p = (1 + b) / (1 + draws), the p-value of a Monte
    Carlo test of the null that the circuit is such a draw. It can be no smaller than 1 / (1 + draws).

    - faithfulness p: "as well" is a faithfulness at least as near to 1.
    - completeness p: "as well" is a completeness no higher, that is, no more of the behaviour left without it.

    Args:
        pool: what random circuits are drawn from, such as all that `find` scored; it must hold the circuit. By default
            every unit of the view, most of which do nothing if it is a sparse dictionary, or every edge.
        draws: how many random circuits.
        depth_matched: draw as many nodes at every site, or edges between every two layers, as the circuit has. A
            site that the circuit takes whole (an MLP as one unit) is then in every draw; False matches the number only.
        ablation, held_out, seed: as for faithfulness.

    Returns: a Report with the circuit's rows, the mean of the random circuits with the interval that holds the middle
        95 % of them, and p. Costs: two forwards per prompt and draw.
    Raises: ValueError where every random circuit would be the circuit itself.
    Source: the sufficiency and partial necessity tests of Shi et al. 2024 (arXiv:2410.13032); they compare mean
        distances from the model's score, prompt by prompt, where we compare shares.
    """
    if draws < 1:
        raise ValueError(f"draws={draws}; one random circuit is the least, and p cannot be below 1 / (1 + draws)")
    used = half(behaviour, "test", held_out)
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed)
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
    others = [random_like(circuit, pool, generator, depth_matched=depth_matched) for _ in range(draws)]
    examples = np.arange(len(trial.whole))
    rows: list[Row] = []
    inert = 0
    for name, complement in (("faithfulness", False), ("completeness", True)):
        share = trial.share(trial.circuit_metric(circuit, complement=complement))
        values = np.array([trial.share(trial.circuit_metric(c, complement=complement))(examples) for c in others])
        mine = share(examples)
        inert = inert if complement else int((abs(values) < SLACK).sum())
        as_well = values <= mine + SLACK if complement else abs(1 - values) <= abs(1 - mine) + SLACK
        low, high = bootstrap(share, len(examples), seed=seed)
        rows.append(Row(name, mine, low, high, "", size, len(examples), trial.unit))
        rows.append(Row(name, float(values.mean()), *spread(values.tolist()), "random", size, draws, trial.unit))
        p = (1 + int(as_well.sum())) / (1 + draws)
        rows.append(Row(f"{name} p", p, float("nan"), float("nan"), "", size, draws, trial.unit))
    matched = "size and depth" if depth_matched else "size"
    notes = (
        f"{draws} random circuits of equal {matched} from a pool of {trial.size(pool)} {trial.unit}s; they share "
        f"{shared:.0%} of their {trial.unit}s with the circuit on average, which such a match makes unavoidable",
        "random rows: mean of the draws and the interval of their middle 95 %; p: the share of draws that do as well",
        *([f"{inert} of the draws carry nothing at all: a weak control"] if inert else []),
    )
    return Report(f"{behaviour.name}: random circuits beside one on {model.name}", tuple(rows), trial.notes + notes)
