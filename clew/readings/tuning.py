"""Tuning: changes of weights learnt by gradient, as updates; the model itself stays as it is.

Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685): Δ = left @ right with left = 0 and right random at the start, so
that the first run is that of the unedited model. Differs: no factor alpha / rank, the learning rate says it all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.changes import Update
from clew.models.model import Model
from clew.models.state import state
from clew.models.weights import logits_with
from clew.progress import Tell
from clew.sites import Weight


@runtime_checkable
class Runner(Protocol):
    """Runs the model as it is at this step of the tuning."""

    def __call__(
        self, tokens: Int[Tensor, "batch seq"], real: Bool[Tensor, "batch seq"] | None = None, logits: int | None = None
    ) -> Float[Tensor, "batch keep vocab"]:
        """Logits of that many last positions, of all by default. Padding is on the left, where `real` is False."""
        ...


def tune(
    model: Model,
    weights: Sequence[Weight | str],
    loss: Callable[[Runner, int], Float[Tensor, ""] | None],
    *,
    rank: int | None = 8,
    steps: int = 100,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    seed: int = 0,
    progress: Tell | None = None,
) -> tuple[list[Update], list[float]]:
    """Learn updates of some weights that make a loss small.

    Args:
        weights: addresses, each once.
        loss: called with a function that runs the model under the updates so far and the number of the step; None ends
            the learning before its last step.
        rank: of each update; None for updates of full rank.
        steps: of AdamW, with weight decay on the update, not on the weight.
        seed: of where the right factors start.
        progress: told (step, steps).

    Returns: an update of each weight, and the loss at each step.
    Raises: ValueError for a model with edits of what flows in force, which the runs would not see, a weight named twice,
    or a loss that is not a number.
    """
    if model.activation_edits:
        raise ValueError(
            f"{model.name} has {len(model.activation_edits)} edits of what flows in force, which tuning would "
            "not see; tune model.unedited"
        )
    addresses = [Weight.parse(w) for w in weights]
    if len(set(addresses)) < len(addresses) or not addresses:
        raise ValueError(f"the weights to tune are {[str(w) for w in addresses]}; name at least one, each once")
    if rank is not None and rank < 1:
        raise ValueError(f"rank={rank}: give a rank of at least 1, or None for full rank")
    generator = torch.Generator().manual_seed(seed)
    wide = torch.promote_types(model.body.dtype, torch.float32)  # Adam's sums of squares underflow in half precision
    before = {w: model.body.linear(w).matrix().to(wide) for w in addresses}
    factors: dict[Weight, tuple[Tensor, Tensor | None]] = {}
    for weight, matrix in before.items():
        out, width = matrix.shape
        if rank is None:
            factors[weight] = (torch.zeros_like(matrix).requires_grad_(), None)
        else:
            right = torch.randn(rank, width, generator=generator).to(matrix) / math.sqrt(width)
            factors[weight] = (matrix.new_zeros(out, rank).requires_grad_(), right.requires_grad_())
    learnt = [f for pair in factors.values() for f in pair if f is not None]
    optimiser = torch.optim.AdamW(learnt, lr=lr, weight_decay=weight_decay)
    history: list[float] = []

    def run(tokens: Tensor, real: Tensor | None = None, logits: int | None = None) -> Tensor:
        now = {w: before[w] + (left if right is None else left @ right) for w, (left, right) in factors.items()}
        return logits_with(model.body, now, tokens, real, logits)

    with state(model.body.module), torch.enable_grad():
        for step in range(steps):
            value = loss(run, step)
            if value is None:
                break
            if not bool(value.isfinite()):
                raise ValueError(f"the loss is {float(value.detach())} at step {step}; give a smaller lr than {lr}")
            history.append(float(value.detach()))
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            if progress:
                progress(step + 1, steps)
    made = [
        Update(w, left=left.detach(), right=None if right is None else right.detach())
        for w, (left, right) in factors.items()
    ]
    return made, history
