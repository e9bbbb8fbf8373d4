"""Targeted probe perturbation: does ablating the units of one class hurt the probe of that class and no other?

Source: SAEBench (Karvonen et al. 2025, arXiv:2503.09532). For class i, units are ranked by how much they move the
residual probe of i, mean difference times (probe direction . decoder row), and the N of largest positive effect are set
to zero; the score is the mean drop of a class's own probe less the mean drop of the other classes' probes. The error of
the dictionary stays. Differs: balanced accuracy; ablation acts on the pooled code, which equals running the model with
it (the probe reads the site that the dictionary writes).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from clew.data.labels.labelled import Labelled
from clew.dictionaries import Dictionary
from clew.measures.dictionaries._probes import (
    Head,
    Seen,
    balanced,
    difference,
    fit,
    is_right,
    origin,
    projections,
    row,
    see,
    some_active,
    top,
    without,
)
from clew.models import Model
from clew.report import Report, Row


def tpp(
    model: Model,
    labelled: Labelled,
    dictionary: Dictionary,
    *,
    target: str | None = None,
    ablate: Sequence[int] = (2, 5, 10, 20, 50, 100, 500),
    fraction: float = 0.7,
    skip: int = 1,
    seed: int = 0,
) -> Report:
    """How separately the dictionary holds the classes of a labelling.

    Args:
        target: the labelling, of three classes or more; the first by default.
        ablate: how many units of a class to set to zero.
        fraction: share of the texts to choose units and fit probes on; the numbers are of the rest.
        skip: leave the first tokens out of a text's mean.
        seed: of the split, of the random units and of the intervals.

    Returns: a Report; "probe" (balanced accuracy of the probes, untouched) and for each N "tpp N=...", "own drop
        N=..." and "other drop N=..." of features, and "tpp N=..." of random active units. Intervals over texts.
    Raises: ValueError for fewer than three classes; ImportError naming the extra "probes".
    """
    target = next(iter(labelled.labels)) if target is None else target
    tasks = list(labelled.tasks(target))
    if len(tasks) < 3:
        raise ValueError(
            f"{target!r} of {labelled.name} has two classes, whose probes are one; TPP takes three or more"
        )
    used = labelled.pick(tasks[0].index)
    seen, (learn, test) = see(model, used, dictionary, skip), used.halves(fraction, seed)
    truth = np.stack([task.positive for task in tasks])
    chosen_on, judged_on, held = seen.pick(learn), seen.pick(test), truth[:, list(test)]
    probes = [fit(chosen_on.x, positive) for positive in truth[:, list(learn)]]
    ranked = [
        ranking(chosen_on, positive, p, dictionary) for positive, p in zip(truth[:, list(learn)], probes, strict=True)
    ]
    base = rights(probes, judged_on.x, held)
    rows = [row("probe", lambda i: float(balanced(base, held, i).mean()), len(test), of="residual", seed=seed)]
    generator = torch.Generator().manual_seed(seed)
    for n in ablate:
        units = [best[:n] for best in ranked]
        rows += _rows(n, "features", units, probes, judged_on, held, base, dictionary, seed)
        units = [some_active(chosen_on.code, n, generator) for _ in tasks]
        rows += list(_rows(n, "random", units, probes, judged_on, held, base, dictionary, seed))[:1]
    notes = (f"{len(tasks)} classes of {target}; zero ablation, error kept; {len(test)} texts, intervals over texts",)
    about = origin(
        model, labelled, dictionary, target=target, ablate=list(ablate), fraction=fraction, skip=skip, seed=seed
    )
    return Report(f"targeted probe perturbation at {dictionary.writes} of {model.name}", tuple(rows), notes, about)


def ranking(seen: Seen, positive: np.ndarray, probe: Head, dictionary: Dictionary) -> list[int]:
    """Units that push the probe towards its class, the strongest first; units that push away are left out."""
    effect = difference(seen.code, positive) * projections(dictionary, probe[0])
    return top(effect, int((effect > 0).sum()))


def rights(probes: Sequence[Head], x: torch.Tensor, truth: np.ndarray) -> np.ndarray:
    """Which examples each probe judges right, [probe, example]."""
    return np.stack([is_right(probe, x, positive) for probe, positive in zip(probes, truth, strict=True)])


def drops(base: np.ndarray, ablated: np.ndarray, truth: np.ndarray, index: np.ndarray) -> tuple[float, float]:
    """(own, other): mean loss of accuracy of probe j when class i is ablated, for i = j and for i != j.

    Args: base, truth: [probe, example]. ablated: [class ablated, probe, example]. index: the examples to count.
    """
    classes = len(ablated)
    before = balanced(base, truth, index)
    drop = before - balanced(ablated, np.broadcast_to(truth, ablated.shape), index)
    own = np.trace(drop) / classes
    return float(own), float((drop.sum() - np.trace(drop)) / (classes * (classes - 1)))


def _rows(
    n: int,
    of: str,
    units: Sequence[Sequence[int]],
    probes: Sequence[Head],
    seen: Seen,
    truth: np.ndarray,
    base: np.ndarray,
    dictionary: Dictionary,
    seed: int,
) -> Iterator[Row]:
    ablated = np.stack([rights(probes, without(seen, dictionary, some), truth) for some in units])
    both = lambda i: drops(base, ablated, truth, i)  # noqa: E731
    for name, of_both in (
        ("tpp", lambda i: both(i)[0] - both(i)[1]),
        ("own drop", lambda i: both(i)[0]),
        ("other drop", lambda i: both(i)[1]),
    ):
        yield row(f"{name} N={n}", of_both, truth.shape[1], of=of, seed=seed)
