"""Answers to learn: prompts and what shall follow them, dealt out to a tuning in small batches."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from clew.changes import Update
from clew.models import Model
from clew.readings.tuning import Runner, tune
from clew.sites import Weight

Example = tuple[Sequence[int], Sequence[int]]
"""Ids of a prompt and of what shall follow it."""

NOT_ASKED = -100


def weights_of(model: Model, weights: Sequence[Weight | str] | None) -> list[Weight]:
    """The weights to tune; the MLPs' output projections by default."""
    return model.body.weights("down") if weights is None else [Weight.parse(w) for w in weights]


def learn(
    model: Model,
    rows: Sequence[Example],
    weights: Sequence[Weight | str] | None,
    loss: Callable[[Float[Tensor, " row"], list[int]], Float[Tensor, ""]],
    enough: Callable[[Float[Tensor, " row"], Bool[Tensor, " row"]], bool],
    *,
    rank: int | None,
    steps: int,
    lr: float,
    batch: int,
    seed: int,
) -> tuple[list[Update], list[float], bool]:
    """Tune the weights until the answers are as they shall be, which is asked before every pass through the rows.

    Args:
        loss: of a batch: called with each answer's mean negative log probability per token, and which rows they are.
        enough: called with that of all rows, and with whether each answer is said greedily.

    Returns: the updates, the loss at each step, and whether it was enough before the last step.
    Raises: ValueError when it is enough before the first step.
    """
    if batch < 1 or steps < 1:
        raise ValueError(f"steps={steps}, batch={batch}: both must be at least 1")
    pad, rng = len({len(a) + len(b) for a, b in rows}) > 1, random.Random(seed)
    if pad:
        model.body.require("padding")
    queue: list[list[int]] = []
    reached = False

    def step(run: Runner, number: int) -> Tensor | None:
        nonlocal reached
        if not queue:
            with torch.no_grad():
                reached = enough(*_all(run, rows, batch, model.device))
            if reached:
                return None
            order = rng.sample(range(len(rows)), len(rows))
            queue.extend(order[i : i + batch] for i in range(0, len(order), batch))
        index = queue.pop()
        return loss(_answered(run, [rows[i] for i in index], model.device)[0], index)

    updates, history = tune(model, weights_of(model, weights), step, rank=rank, steps=steps, lr=lr, seed=seed)
    if not history:
        raise ValueError(f"{model.name} answers as it shall already, so there is nothing to learn")
    return updates, history, reached


def _all(run: Runner, rows: Sequence[Example], batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of every row: mean negative log probability per token, and whether it is said greedily."""
    parts = [_answered(run, rows[i : i + batch], device) for i in range(0, len(rows), batch)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _answered(
    run: Runner, rows: Sequence[Example], device: torch.device
) -> tuple[Float[Tensor, " row"], Bool[Tensor, " row"]]:
    ids, real, wanted = _padded(rows, device)
    keep = max(len(answer) for _, answer in rows) + 1
    logits, wanted = run(ids, real, keep)[:, :-1].float(), wanted[:, 1 - keep :]
    asked = wanted != NOT_ASKED
    costs = cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none", ignore_index=NOT_ASKED).view_as(
        wanted
    )
    greedy = ((logits.argmax(-1) == wanted) | ~asked).all(-1)
    return costs.sum(1) / asked.sum(1), greedy


def _padded(
    rows: Sequence[Example], device: torch.device
) -> tuple[Int[Tensor, "row seq"], Bool[Tensor, "row seq"], Int[Tensor, "row seq"]]:
    """Ids padded on the left, which are real, and the answers' ids where they stand."""
    longest = max(len(a) + len(b) for a, b in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    real, wanted = torch.zeros_like(ids, dtype=torch.bool), torch.full_like(ids, NOT_ASKED)
    for i, (asked, answer) in enumerate(rows):
        ids[i, longest - len(asked) - len(answer) :] = torch.tensor([*asked, *answer])
        real[i, longest - len(asked) - len(answer) :] = True
        wanted[i, longest - len(answer) :] = torch.tensor(answer)
    return ids.to(device), real.to(device), wanted.to(device)
