"""Accuracy by groups: does a probe use what it should, and what does an edit of the model change about that?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from clew.data.labels.labelled import Labelled
from clew.models import Model
from clew.probing import Probe
from clew.readings.probe import scores
from clew.report import Report, Row, bootstrap
from clew.stack import Stack


def group_accuracy(
    model: Model,
    labelled: Labelled,
    stack: Stack,
    *,
    probe: Probe,
    together: tuple[tuple[str, str], tuple[str, str]],
    target: str = "profession",
    spurious: str = "gender",
    seed: int = 0,
) -> Report:
    """A probe on texts of four groups, read off the model and off the edited model.

    Args:
        model: seen through the dictionaries that the edits are written in.
        together: the two pairs (target class, spurious class) that the probe may confuse, in the order of its
            classes: (("nurse", "female"), ("professor", "male")).

    Returns: for "unedited" and "edited" the rows of `accuracies`.
    Source: Marks et al. 2024 (arXiv:2403.19647), Table 2.
    """
    if (together[0][0], together[1][0]) != probe.classes:
        raise ValueError(f"the probe tells {probe.classes} apart, in this order; together={together} was given")
    asked = [
        all(row)
        for row in zip(
            *(
                [label in (pair[i] for pair in together) for label in labelled[name]]
                for i, name in enumerate((target, spurious))
            ),
            strict=True,
        )
    ]
    left = len(labelled) - sum(asked)
    labelled = labelled.pick([i for i, one in enumerate(asked) if one])
    truth = np.array(
        [[label == together[1][i] for label in labelled[name]] for i, name in enumerate((target, spurious))]
    )
    rows: list[Row] = []
    for of, view, nodes in (("unedited", model, None), ("edited", model.edited(stack), len(stack))):
        says = (scores(view, labelled.texts, probe) > 0).numpy()
        found = accuracies(says, truth, target=target, spurious=spurious, of=of, texts=labelled.asked(), seed=seed)
        rows += [replace(row, nodes=nodes, unit="edit") for row in found]
    notes = (f"{left} texts of other classes are left out",) if left else ()
    return Report(f"{target} and {spurious}, {probe!r}", tuple(rows), notes)


def accuracies(
    says: Bool[np.ndarray, " text"],
    truth: Bool[np.ndarray, "two text"],
    *,
    target: str = "target",
    spurious: str = "spurious",
    of: str = "",
    nodes: int | None = None,
    texts: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> list[Row]:
    """ "<target> accuracy", "<spurious> accuracy" and "worst group", each the mean over the four groups, or the least.

    The spurious accuracy is how often what is said of the target agrees with the spurious label: at 1 nothing else is
    used, at 0.5 it is not used at all. Groups count alike, however many texts they have.

    Args:
        says: the second class?
        truth: is it of the second target class, and of the second spurious class?
        texts: which text each is, so that copies of one count as one in the intervals; all differ by default.
    Raises: ValueError where one of the four groups has no text.
    """
    masks = [(truth[0] == a) & (truth[1] == b) for a in (False, True) for b in (False, True)]
    if not all(mask.any() for mask in masks):
        raise ValueError(f"the four groups have {[int(mask.sum()) for mask in masks]} texts; each needs one")

    def over(right: np.ndarray, pool: Callable[[list[float]], float]) -> Callable[[np.ndarray], float]:
        return lambda index: float(pool([(right & mask)[index].sum() / mask[index].sum() for mask in masks]))

    rows, asked = [], range(len(says)) if texts is None else texts
    for measure, right, pool in (
        (f"{target} accuracy", says == truth[0], np.mean),
        (f"{spurious} accuracy", says == truth[1], np.mean),
        ("worst group", says == truth[0], np.min),
    ):
        statistic = over(right, pool)
        low, high = bootstrap(statistic, asked, seed=seed)
        rows.append(Row(measure, statistic(np.arange(len(says))), low, high, of, nodes, len(set(asked)), "unit"))
    return rows
