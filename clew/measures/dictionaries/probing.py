"""Sparse probing: how well the best one, two or five units of a dictionary tell a labelled property.

Source: Gurnee et al. 2023 (arXiv:2305.01610), in the form of SAEBench (Karvonen et al. 2025, arXiv:2503.09532): codes
averaged over a text, units chosen by the difference of their means, a logistic regression on them. Differs: accuracy is
balanced, instead of negatives being thrown away until the classes are; our own texts and word lists.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clew.data.labels.labelled import Labelled
from clew.dictionaries import Dictionary
from clew.measures.dictionaries._probes import (
    Seen,
    balanced,
    difference,
    fit,
    is_right,
    origin,
    row,
    see,
    some_active,
    top,
)
from clew.models import Model
from clew.report import Report


def probing(
    model: Model,
    labelled: Labelled,
    dictionary: Dictionary,
    *,
    k: Sequence[int] = (1, 2, 5),
    fraction: float = 0.7,
    skip: int = 1,
    seed: int = 0,
) -> Report:
    """Balanced accuracy of probes on few units, for every labelling.

    Args:
        k: how many units a probe reads.
        fraction: share of the texts to choose units and fit probes on; the numbers are of the rest.
        skip: leave the first tokens out of a text's mean.
        seed: of the split, of the random units and of the intervals.

    Returns: a Report; "profession k=1" of features, and of as many random active units (the floor); "profession"
        of the residual, a probe on all coordinates of the site (the ceiling of a linear probe). A mean over one-vs-rest tasks
        where there are more than two classes. Intervals over texts; 0.5 is chance.
    Costs: one run of the texts and a logistic regression per task, k and kind.
    Raises: ValueError when a class has no text on one side of the split; ImportError naming the extra "probes".
    """
    seen, (learn, test) = see(model, labelled, dictionary, skip), labelled.halves(fraction, seed)
    rows = []
    for labelling in labelled.labels:
        sides = [_tasks(labelled, labelling, side) for side in (learn, test)]
        names = [("features", f"{labelling} k={n}", n) for n in k] + [("random", f"{labelling} k={n}", n) for n in k]
        for of, name, n in [*names, ("residual", labelling, None)]:
            (texts, truth), (held, held_truth) = sides
            right = judged(seen.pick(texts), truth, seen.pick(held), held_truth, n, random=of == "random", seed=seed)
            mean = lambda i, r=right, t=held_truth: float(balanced(r, t, i).mean())  # noqa: E731
            rows.append(row(name, mean, len(held), of=of, seed=seed))
    note = f"balanced accuracy on {len(test)} texts, chance 0.5; intervals over texts"
    about = origin(model, labelled, dictionary, k=list(k), fraction=fraction, skip=skip, seed=seed)
    return Report(
        f"sparse probing of {labelled.name} at {dictionary.writes} of {model.name}", tuple(rows), (note,), about
    )


def _tasks(labelled: Labelled, labelling: str, side: Sequence[int]) -> tuple[list[int], np.ndarray]:
    """The texts of one side to which a labelling applies, and for each of its tasks which are positive."""
    tasks = list(labelled.tasks(labelling))
    where, ours = np.array(tasks[0].index), set(side)
    here = np.array([i in ours for i in tasks[0].index])
    truth = np.stack([task.positive[here] for task in tasks])
    for task, positive in zip(tasks, truth, strict=True):
        if positive.all() or not positive.any():
            raise ValueError(
                f"{labelling} {task.name!r}: one side of the split has no text, or no other; give more texts"
            )
    return where[here].tolist(), truth


def judged(
    learn: Seen, truth: np.ndarray, test: Seen, test_truth: np.ndarray, k: int | None, *, random: bool, seed: int
) -> np.ndarray:
    """Which examples the probe of each task judges right, [task, example].

    Args: truth, test_truth: [task, example]. k: probe the k units of the largest |difference of means|, or `random`
        ones; None probes x.
    """
    generator, right = torch.Generator().manual_seed(seed), []
    for positive, judged in zip(truth, test_truth, strict=True):
        if k is None:
            right.append(is_right(fit(learn.x, positive), test.x, judged))
            continue
        chosen = some_active(learn.code, k, generator) if random else top(difference(learn.code, positive).abs(), k)
        right.append(is_right(fit(learn.code[:, chosen], positive), test.code[:, chosen], judged))
    return np.stack(right)
