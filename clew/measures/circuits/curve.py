"""Curve: faithfulness and completeness of a circuit's best nodes over sizes, with random circuits beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._stopped import or_stopped
from clew.measures.circuits._trial import Trial
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.progress import Tell, until_stopped
from clew.readings.ablation import Ablation
from clew.report import Report, Row


def curve(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    sizes: Sequence[int] = (10, 30, 100, 300, 1000),
    of: str | None = None,
    random: int = 3,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """Faithfulness and completeness of the n nodes of largest |score|, for each size.

    Args:
        circuit: all scored nodes, as a method returns them, or all scored edges between components.
        sizes: numbers of nodes (of edges, where these are judged); sizes beyond the circuit are left out.
        of: what the nodes are, for the table: features, neurons, heads, ..., as the view has them by default.
        random: beside each size, the mean over this many circuits of as many nodes drawn from those of `circuit`,
            so give all scored nodes; there is none beside the size of the whole circuit.
        ablation, held_out, seed, progress: as for `faithfulness`.

    Returns: a Report with a row per measure, kind and size. Costs: two forwards per prompt for each size, and for each
        random circuit.
    Raises: ValueError for sizes below 1. Stopped at an interrupt; its result is the Report of the sizes that were done.
    """
    if min(sizes, default=0) < 1:
        raise ValueError(f"sizes are numbers of nodes, from 1 on; {list(sizes)} were given")
    used = half(behaviour, "test", held_out)
    circuits = 2 * len(sizes) * (1 + random)
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed, progress=progress, circuits=circuits)
    total = trial.size(circuit)
    usable = [n for n in sorted(sizes) if n <= total] or [total]
    trial.expected = 2 + 2 * len(usable) + 2 * random * sum(n < total for n in usable)
    of = of or ("edges" if trial.unit == "edge" else model.units)
    rows, stop = until_stopped(_rows(trial, circuit, usable, of, random, seed))
    report = Report(f"{behaviour.name} on {model.name}: the best {trial.unit}s by size", tuple(rows), trial.notes)
    return or_stopped(report, stop, f"{trial.forwards} of {trial.expected} passes over the prompts")


def _rows(trial: Trial, circuit: Circuit, sizes: Sequence[int], of: str, random: int, seed: int) -> Iterator[Row]:
    """The best nodes of each size, then as many random ones."""
    yield from trial.rows((trial.largest(circuit, n) for n in sizes), of)
    generator, total = np.random.default_rng(seed), trial.size(circuit)
    drawn = [n for n in sizes if n < total] if random else []
    draws = (generator.choice(total, n, replace=False) for n in drawn for _ in range(random))
    metrics = trial.both(trial.draw(circuit, index) for index in draws)
    for n in drawn:
        of_size = zip(*islice(metrics, random), strict=True)
        for name, several in zip(("faithfulness", "completeness"), of_size, strict=True):
            metric = np.mean(several, axis=0)
            share = trial.share(metric)
            value = share(np.arange(len(metric)))
            yield Row(name, value, *trial.interval(share), f"random {of}", n, trial.prompts, trial.unit)
