"""Minimality: how much faithfulness each part of a circuit carries, found by taking it out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._parts import Per, judged, names, without
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.progress import Tell
from clew.readings.ablation import Ablation
from clew.report import Report, Row


def minimality(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    per: Per = "node",
    tolerance: float = 0.01,
    limit: int = 200,
    top: int = 20,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """The drop of faithfulness when one part is taken out of a circuit, F(C) - F(C without it), part by part.

    Args:
        per: what is taken out at a time: a "node" (with its edges, where edges are judged), an "edge", or all that the
            circuit has at a "site", which finds parts that stand in for each other.
        tolerance: a part is superfluous if taking it out changes faithfulness by less than this.
        limit: at most this many parts, drawn by `seed`, so that the share of superfluous ones is that of the circuit.
        top: how many parts have a row.
        ablation, held_out, seed, progress: as for `faithfulness`.

    Returns: a Report with the circuit's faithfulness, the share of superfluous parts, and the parts whose removal
        changes most, largest first, with intervals over prompts; a negative drop is of a part that works against the
        behaviour. Costs: one forward per prompt and part.
    Source: Wang et al. 2023 (arXiv:2211.00593), whose score is |F(C without K) - F(C without K and v)|
        with a set K chosen by hand for every v; here K is empty, and F is a share of the way from empty to whole.
    """
    if limit < 1 or top < 0 or tolerance < 0:
        raise ValueError(
            f"limit={limit}, top={top}, tolerance={tolerance}; give a limit from 1 on, the others from 0 on"
        )
    used = half(behaviour, "test", held_out)
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed, progress=progress, circuits=1 + limit)
    inside = judged(trial, circuit)
    parts = names(inside, per)
    if not parts:
        raise ValueError(f"the circuit ({circuit!r}) has no {per} that could be taken out; give one that holds some")
    tested = np.arange(len(parts))
    if len(parts) > limit:
        tested = np.sort(np.random.default_rng(seed).choice(len(parts), limit, replace=False))
    trial.expected -= limit - len(tested)
    kept = trial.circuit_metric(inside)
    left = trial.circuit_metrics((without(inside, per, int(part)), False) for part in tested)
    lost = kept - np.stack(list(left))
    n, size = len(kept), trial.size(inside)

    def drops(i: np.ndarray, some: slice = slice(None)) -> np.ndarray:
        return lost[some, i].mean(1) / (trial.whole[i].mean() - trial.empty[i].mean())

    def row(measure: str, of: str, statistic: Callable[[np.ndarray], float], parts: int | None = None) -> Row:
        value, ends = statistic(np.arange(n)), trial.interval(statistic)
        return Row(measure, value, *ends, of, parts, trial.prompts, trial.unit)

    change = drops(np.arange(n))
    order = np.argsort(-np.abs(change), kind="stable")
    weak = [parts[tested[i]] for i in order[::-1] if abs(change[i]) < tolerance]
    rows = [
        row("faithfulness", "", trial.share(kept), size),
        row("superfluous", f"share of {per}s", lambda i: float((np.abs(drops(i)) < tolerance).mean()), size),
        *(row("drop", parts[tested[i]], lambda idx, i=i: float(drops(idx, slice(i, i + 1))[0])) for i in order[:top]),
    ]
    aside = len(circuit) - len(inside)
    notes = (
        f"{len(tested)} of {len(parts)} {per}s taken out one at a time; superfluous: faithfulness changes by less than "
        f"{tolerance}" + (f", least by {', '.join(weak[:10])}" if weak else ""),
        *([f"left out: {aside} of {len(circuit)} nodes, which are never ablated or have no edge"] if aside else []),
    )
    return Report(f"{behaviour.name}: what each {per} carries on {model.name}", tuple(rows), trial.notes + notes)
