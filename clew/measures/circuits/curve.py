"""Curve: faithfulness and completeness of a circuit's best nodes over sizes, with random circuits beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.readings.ablation import Ablation
from clew.report import Report, Row, bootstrap


def curve(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    sizes: Sequence[int] = (10, 30, 100, 300, 1000),
    of: str = "features",
    random: int = 3,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
) -> Report:
    """Faithfulness and completeness of the n nodes of largest |score|, for each size.

    Args:
        circuit: all scored nodes, as a method returns them, or all scored edges between components.
        sizes: numbers of nodes (of edges, where these are judged); sizes beyond the circuit are left out.
        of: what the nodes are, for the table: features, neurons, heads.
        random: beside each size, the mean over this many circuits of as many nodes drawn from those of `circuit`,
            so give all scored nodes; there is none beside the size of the whole circuit.
        ablation, held_out, seed: as for faithfulness.

    Returns: a Report with a row per measure, kind and size.
    """
    used = half(behaviour, "test", held_out)
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed)
    if min(sizes, default=0) < 1:
        raise ValueError(f"sizes are numbers of nodes, from 1 on; {list(sizes)} were given")
    total = trial.size(circuit)
    usable = [n for n in sorted(sizes) if n <= total] or [total]
    rows = list(trial.rows([trial.largest(circuit, n) for n in usable], of))
    generator = np.random.default_rng(seed)
    for n in [n for n in usable if n < total] if random else []:
        draws = [trial.draw(circuit, generator.choice(total, n, replace=False)) for _ in range(random)]
        for name, complement in (("faithfulness", False), ("completeness", True)):
            metric = np.mean([trial.circuit_metric(c, complement=complement) for c in draws], axis=0)
            share = trial.share(metric)
            low, high = bootstrap(share, len(metric), seed=seed)
            rows.append(Row(name, share(np.arange(len(metric))), low, high, f"random {of}", n, len(metric), trial.unit))
    return Report(f"{behaviour.name} on {model.name}: the best nodes by size", tuple(rows), trial.notes)
