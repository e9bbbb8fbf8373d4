"""What a dictionary is while it is learnt: tensors, a loss, and how it becomes a Dictionary in the end.

One file of `objectives/` holds one objective: a function of the file's name whose keywords are its settings and which
returns an Objective. The loop (`loop/loop.py`) brings batches, gradients, Adam, checkpoints and processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import Dictionary
from clew.sites import Site


@dataclass(frozen=True)
class Clock:
    """Where training stands: step from 1, of `steps`."""

    step: int
    steps: int

    def ramp(self, share: float) -> float:
        """From 0 to 1 over this share of all steps, then 1."""
        return min(1.0, self.step / max(1.0, share * self.steps))


@dataclass(frozen=True)
class Scaling:
    """x = centre + scale * row: rows are what an objective sees, with a mean norm of about sqrt(d) per site."""

    centre: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]

    @property
    def size(self) -> float:
        """The scale as one number; the unit in which codes are given back."""
        return float(self.scale.mean())


class Objective(ABC):
    """A dictionary being learnt. Subclasses, all of them final, set `tensors` in `start`; everything that must survive
    a kill is in `tensors` (learnt by gradient), `state` (everything else, tensors too) and `settings` (plain values)."""

    pairs: bool = False
    """True where what is written is another site than what is read: a transcoder."""
    several: bool = False
    """True where more than one site is read: a crosscoder."""
    gathers: ClassVar[bool] = False
    """True where the objective itself brings together what several processes see: the loop averages nothing then."""
    sharded: ClassVar[bool] = False
    """True where each process holds other tensors: each then writes its own part of a checkpoint."""
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)

    def __init__(self, lr: float) -> None:
        self.lr = lr
        self.tensors: dict[str, Tensor] = {}
        self.state: dict[str, Tensor] = {}
        self.frozen: set[str] = set()
        """Names in `tensors` that are not learnt."""
        self.settings: dict[str, Any] = {}
        """Plain values that were decided under way and must survive a kill as well."""
        self.told: dict[str, float] = {}
        """Numbers of the last batch for the log: l0, unexplained, dead, ..."""
        self.reads: dict[Site, int] = {}
        self.writes: dict[Site, int] = {}

    def place(self, reads: Mapping[Site, int], writes: Mapping[Site, int]) -> None:
        """Told before anything else: the sites, side by side in x and y, and their widths.

        Raises: ValueError when these sites cannot be learnt together.
        """
        self.reads, self.writes = dict(reads), dict(writes)

    @abstractmethod
    def start(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], g: torch.Generator) -> None:
        """Initial values from the first rows; y is x unless `pairs`. Raises: ValueError when there are too few rows."""

    @abstractmethod
    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Clock) -> Float[Tensor, ""]:
        """What is made small, for autograd; also counts what fired and fills `told`."""

    def adjust(self, gradients: dict[str, Tensor]) -> None:  # noqa: B027 - most have nothing to do here
        """Change gradients in place before the step."""

    def settle(self, now: Clock) -> None:  # noqa: B027
        """Bring the tensors back, after a step, to where they must lie; may learn without a gradient."""

    @abstractmethod
    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        """The dictionary in the units of the activations: centring and scaling are folded in."""
