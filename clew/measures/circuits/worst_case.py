"""Worst case: how far a circuit strays from its model on the prompts where it strays most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.evidence import half
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.models.tokens import in_words
from clew.progress import Tell
from clew.readings.ablation import Ablation
from clew.report import Report, Row, bootstrap


def worst_case(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    show: int = 5,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """|metric of the circuit - metric of the model|, prompt by prompt: mean, 95th percentile and the largest.

    Copies of a prompt are one, with the mean of theirs; the largest is that of a single pair.
    A mean over prompts hides prompts on which a circuit does another thing than its model, and prompts that stray in
    opposite directions. With behaviour.with_metric("kl_divergence") the distance is the divergence of the next token.

    Args:
        show: how many of the worst prompts the notes name.
        ablation, held_out, seed, progress: as for `faithfulness`.

    Returns: a Report in units of the metric; the largest has no interval, for resampling cannot find a larger one.
        Costs: three forwards per prompt. Source: uit de Bos and Garriga-Alonso 2024 (arXiv:2407.15166),
        who take the divergence.
    """
    if show < 0:
        raise ValueError(f"show={show} prompts; give 0 or more")
    used = half(behaviour, "test", held_out)
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed, progress=progress, circuits=1)
    kept = trial.circuit_metric(circuit)
    apart = np.abs(kept - trial.whole)
    size, n = trial.size(circuit), trial.prompts

    each = trial.by_prompt(apart)

    def row(of: str, statistic: Callable[[np.ndarray], float]) -> Row:
        ends = bootstrap(lambda i: statistic(each[i]), len(each), seed=seed)
        return Row("discrepancy", statistic(each), *ends, of, size, n, trial.unit)

    largest = Row("discrepancy", float(apart.max()), float("nan"), float("nan"), "max", size, n, trial.unit)
    rows = (
        row("mean", lambda x: float(x.mean())),
        row("95th percentile", lambda x: float(np.percentile(x, 95))),
        largest,
    )
    # Trials measure prompts in the order of the behaviour's batches: by length, then as they come.
    order = [i for batch in used.batches(model) for i in batch.index]
    worst = (
        f"worst: {_words(used.pairs[order[i]])}: {kept[i]:.3f} in the circuit, {trial.whole[i]:.3f} in the model"
        for i in np.argsort(-apart, kind="stable")[:show]
    )
    return Report(
        f"{behaviour.name}: the worst prompts for {size} {trial.unit}s on {model.name}", rows, (*trial.notes, *worst)
    )


def _words(pair: Pair) -> str:
    if in_words(pair.clean):
        return repr(pair.clean)
    return "tokens " + " ".join(map(str, pair.clean))
