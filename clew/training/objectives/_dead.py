"""Units that are never active: how they are counted, and how they learn from what the others leave."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.scale import processes
from clew.training.objective import Objective

AUXILIARY = 1 / 32
"""Weight of the dead units' own loss (Gao et al. 2024)."""


def never(units: int, x: Tensor) -> Int[Tensor, " unit"]:
    """`idle` at the start: no unit has missed a row yet."""
    return torch.zeros(units, dtype=torch.long, device=x.device)


def dead(objective: Objective, after: int) -> Bool[Tensor, " unit"]:
    """Units that were active at none of the last `after` rows, of all processes together."""
    return objective.state["idle"] * (1 if objective.gathers else processes.count()) > after


def count(objective: Objective, fired: Bool[Tensor, " unit"], rows: int, active: float, after: int) -> None:
    """Note what fired in a batch of so many rows, and tell the mean number of active units and the share of dead ones."""
    idle = objective.state["idle"]
    idle += rows
    idle[fired] = 0
    objective.told |= {"l0": active, "dead": float(dead(objective, after).float().mean())}


def strongest(code: Float[Tensor, "row dead"], most: int, by: Callable[[Tensor], Tensor]) -> Float[Tensor, "row dead"]:
    """Only the `most` largest entries of each row, by `by` of them; the others are 0."""
    if code.shape[1] <= most:
        return code
    best = by(code.detach()).topk(most, dim=1, sorted=False).indices
    return torch.zeros_like(code).scatter(1, best, code.gather(1, best))


def share(made: Float[Tensor, "row d"], left: Float[Tensor, "row d"], n: int, most: int) -> Float[Tensor, ""]:
    """The loss of n dead units that make so much of what is `left`; it counts less while they are few."""
    error = made - left
    return AUXILIARY * min(1.0, n / max(1, most)) * (error.square().sum() / left.square().sum().clamp_min(1e-12))
