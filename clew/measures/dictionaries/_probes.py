"""What the measures of dictionaries by labelled text share: what a dictionary sees of a text, and linear probes.

Probes are logistic regressions of scikit-learn with classes weighed equally. Accuracy is always balanced, the mean of
the shares of positives and of negatives that are judged right, so that guessing gives 0.5 however rare a class is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.data.labels.labelled import Labelled
from clew.dictionaries import Dictionary
from clew.models import Model
from clew.models.tokens import by_length, rows_of
from clew.readings.contrast import batch_tokens
from clew.readings.probe import Head as Head
from clew.readings.probe import fit as fit
from clew.report import Row, bootstrap


@dataclass(frozen=True, eq=False)
class Seen:
    """What one site holds of every text, and the dictionary's code of it."""

    x: Float[Tensor, "example d_out"]
    code: Float[Tensor, "example unit"]

    def pick(self, index: Sequence[int]) -> Seen:
        return Seen(self.x[list(index)], self.code[list(index)])


def see(model: Model, labelled: Labelled, dictionary: Dictionary, skip: int = 1) -> Seen:
    """The labelled token of every text, or the mean over its tokens but the first `skip` (an attention sink).

    Raises: ValueError for a text too short for that, a dictionary that does not fit the model, or one whose units
    have several coordinates.
    """
    if len(dictionary.unfold(torch.zeros(dictionary.n_units))) != dictionary.n_units:
        raise ValueError(
            f"each unit of the {dictionary.kind} dictionary at {dictionary.writes} has several coordinates; "
            "this measure needs units of one number each"
        )
    view = model.through(dictionary)
    site = model.body.site(dictionary.writes)
    ids = rows_of(model, labelled.texts, "text")
    shortest = min(range(len(ids)), key=lambda i: len(ids[i]))
    at = labelled.position
    if len(ids[shortest]) < (skip + 1 if at is None else -at if at < 0 else at + 1):
        raise ValueError(
            f"{labelled.texts[shortest]!r} has {len(ids[shortest])} tokens, too few to read "
            + (f"the mean after the first {skip}" if at is None else f"position {at}")
        )
    x, code = [torch.empty(0)] * len(ids), [torch.empty(0)] * len(ids)
    for length, index in by_length(ids):
        rows = max(1, batch_tokens(view) // length)
        for some in (index[start : start + rows] for start in range(0, len(index), rows)):
            trace = view.run(torch.tensor([ids[i] for i in some]), read={dictionary.reads, site}, logits=0)
            for values, found in ((trace[site], x), (trace.code(site), code)):
                kept = values[:, skip:].mean(1) if at is None else values[:, at]
                for i, row in zip(some, kept.detach().float().cpu(), strict=True):
                    found[i] = row
    return Seen(torch.stack(x), torch.stack(code))


def is_right(head: Head, x: Float[Tensor, "example d"], positive: np.ndarray) -> Bool[np.ndarray, " example"]:
    """Which examples a probe judges right."""
    weight, bias = head
    return (x @ weight + bias > 0).numpy() == positive


def difference(code: Float[Tensor, "example unit"], positive: np.ndarray) -> Float[Tensor, " unit"]:
    """Mean code over the positives less that over the negatives."""
    yes = torch.from_numpy(positive)
    return code[yes].mean(0) - code[~yes].mean(0)


def top(score: Float[Tensor, " unit"], n: int) -> list[int]:
    """The n units of highest score, highest first; all of them where there are fewer."""
    return score.topk(min(n, len(score))).indices.tolist()


def some_active(code: Float[Tensor, "example unit"], n: int, generator: torch.Generator) -> list[int]:
    """n random units among those that are not silent on all examples: the floor beside chosen units."""
    active = code.ne(0).any(0).nonzero().flatten()
    return active[torch.randperm(len(active), generator=generator)[:n]].tolist()


def without(seen: Seen, dictionary: Dictionary, units: Sequence[int]) -> Float[Tensor, "example d_out"]:
    """x less what these units write to it: their code set to zero, everything else, the error too, kept.

    The probe reads the very site that the dictionary writes, and a mean over tokens goes through what units write
    because that is linear, so this is the ablated run itself and needs no other.
    """
    code = torch.zeros_like(seen.code)
    code[:, list(units)] = seen.code[:, list(units)]
    there = next((b for b in dictionary.buffers() if b.is_floating_point()), code)
    return seen.x - dictionary.write(code.to(there)).to(seen.x)


def projections(dictionary: Dictionary, direction: Float[Tensor, " d_out"]) -> Float[Tensor, " unit"]:
    """How far each unit, at 1, moves x along a direction: its decoder row times the direction."""
    there = next((b for b in dictionary.buffers() if b.is_floating_point()), direction)
    return dictionary.pull(direction.to(there)).to(direction)


def balanced(
    right: Float[np.ndarray, "*task example"] | Bool[np.ndarray, "*task example"],
    positive: Bool[np.ndarray, "*task example"],
    index: np.ndarray,
) -> np.ndarray:
    """Balanced accuracy of each task over the examples of `index`, which may name one several times."""
    times = np.bincount(index, minlength=positive.shape[-1]).astype(float)
    shares = [(right * side) @ times / (side @ times) for side in (positive, ~positive)]
    return np.asarray((shares[0] + shares[1]) / 2)


def row(
    measure: str,
    statistic: Callable[[np.ndarray], float],
    n: int,
    *,
    of: str = "",
    nodes: int | None = None,
    seed: int = 0,
) -> Row:
    """A number over n examples, or classes, with its bootstrap interval over them."""
    low, high = bootstrap(statistic, n, seed=seed)
    return Row(measure, float(statistic(np.arange(n))), low, high, of, nodes, n)


def origin(model: Model, labelled: Labelled, dictionary: Dictionary, **options: Any) -> dict[str, Any]:
    """What the numbers are of, as plain JSON."""
    return {
        "model": model.name,
        "weights": model.body.fingerprint,
        "site": str(dictionary.writes),
        "dictionary": dictionary.fingerprint,
        "texts": labelled.name,
        "labels": labelled.hash,
        "options": options,
    }
