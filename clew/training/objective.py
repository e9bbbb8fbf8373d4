"""What a dictionary is while it is learnt: tensors, a loss, and how it becomes a Dictionary in the end.

One file of this folder holds one objective: a function of the file's name whose keywords are its settings and which
returns an Objective. The loop (`loop/loop.py`) brings batches, gradients, Adam, checkpoints and processes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import Dictionary
from clew.scale import processes
from clew.sites import Site

AUXILIARY = 1 / 32
"""Weight of the dead units' own loss (Gao et al. 2024)."""

Decoder = Literal["learnt", "random"]


@dataclass(frozen=True)
class Moment:
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
    """A dictionary being learnt. Subclasses set `tensors` in `start`; everything that must survive a kill is in
    `tensors` (learnt by gradient) and `state` (everything else, tensors too)."""

    pairs: ClassVar[bool] = False
    """True where what is written is another site than what is read: a transcoder."""
    several: ClassVar[bool] = False
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
    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Moment) -> Float[Tensor, ""]:
        """What is made small, for autograd; also counts what fired and fills `told`."""

    def adjust(self, gradients: dict[str, Tensor]) -> None:  # noqa: B027 - most have nothing to do here
        """Change gradients in place before the step."""

    def settle(self, now: Moment) -> None:  # noqa: B027
        """Bring the tensors back, after a step, to where they must lie; may learn without a gradient."""

    @abstractmethod
    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        """The dictionary in the units of the activations: centring and scaling are folded in."""


class Coder(Objective):
    """An encoder and a decoder matrix: `W_enc` and `W_dec` [unit, d] as rows, `b_enc` [unit], `b_dec` [d_out].

    Where one site is read and written, b_dec is taken off what is encoded, decoder rows start at activations and the
    encoder at the scale that fits best; then rows keep length one, so that a code is a length in the units of x.
    A transcoder starts with a decoder of zeros, and its rows are free.
    """

    def __init__(self, units: int, *, lr: float | None, decoder: Decoder = "learnt", dead_after: int = 100_000) -> None:
        if units < 1:
            raise ValueError(f"units is {units}; a dictionary needs at least one")
        if decoder not in ("learnt", "random"):
            raise ValueError(f"decoder={decoder!r} is unknown; choose learnt, or random for the frozen baseline")
        # Gao et al. (2024) have 2e-4 * sqrt(2^14 / units), for a thousand times the steps a laptop can do.
        super().__init__(4e-3 * math.sqrt(2304 / units) if lr is None else lr)
        self.units, self.decoder, self.dead_after = units, decoder, dead_after
        self.frozen = {"W_dec"} if decoder == "random" else set()

    @property
    def centred(self) -> bool:
        return not self.pairs

    def start(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], g: torch.Generator) -> None:
        start = self._rows(y if self.centred else x, g)
        zero = x.new_zeros
        self.tensors = {"W_enc": start.clone(), "b_enc": zero(self.units), "W_dec": start, "b_dec": zero(y.shape[1])}
        if not self.centred:
            rows = self._random(y, g) if self.decoder == "random" else zero(self.units, y.shape[1])
            self.tensors |= {"W_dec": rows, "b_dec": y.mean(0), "b_enc": -(start @ x.mean(0))}
        self.state["variance"] = (y - y.mean(0)).square().sum(1).mean()
        self.state["idle"] = torch.zeros(self.units, dtype=torch.long, device=x.device)
        self.further(x)
        if self.centred:
            # With W_enc = s W_dec the reconstruction is about s times that of s = 1, so the best s is a ratio.
            made = self.reconstruct(x[:2048])
            self.scale((made * y[:2048]).sum() / made.square().sum().clamp_min(1e-12))

    def further(self, x: Float[Tensor, "row d_in"]) -> None:
        """Set the tensors and the state that a subclass adds, or take away what it does without."""

    def scale(self, factor: Float[Tensor, ""]) -> None:
        """Make all codes `factor` times as large."""
        self.tensors["W_enc"] *= factor

    def _rows(self, x: Tensor, g: torch.Generator) -> Float[Tensor, "unit d"]:
        if self.decoder == "random" and self.centred:
            return self._random(x, g)
        if len(x) < self.units:
            raise ValueError(
                f"{len(x)} activations are too few to start {self.units} units from; record more or ask for fewer units"
            )
        rows = x[torch.randperm(len(x), generator=g)[: self.units].to(x.device)]
        # A little noise keeps two equal activations from making one unit twice.
        return F.normalize(rows + 1e-3 * torch.randn(rows.shape, generator=g).to(rows), dim=1)

    def _random(self, x: Tensor, g: torch.Generator) -> Float[Tensor, "unit d"]:
        return F.normalize(torch.randn(self.units, x.shape[1], generator=g).to(x), dim=1)

    @property
    def matrices(self) -> dict[str, Tensor]:
        """`W_enc`, `b_enc`, `W_dec`, `b_dec` as they are applied; tied objectives make them from fewer tensors."""
        return self.tensors

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        """The reconstruction by the tensors as they are; used to scale the encoder at the start."""
        made = self.code(x).relu() @ self.matrices["W_dec"]
        return made + self.matrices["b_dec"]

    def code(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row unit"]:
        """All pre-activations, dense."""
        t = self.matrices
        return torch.addmm(t["b_enc"], self.shifted(x), t["W_enc"].T)

    def shifted(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_in"]:
        """What the encoder reads: x without b_dec where one site is read and written."""
        return x - self.matrices["b_dec"] if self.centred else x

    def unexplained(self, error: Float[Tensor, "row d_out"]) -> Float[Tensor, ""]:
        """Mean squared error as a share of the variance of what is written."""
        return error.square().sum(1).mean() / self.state["variance"]

    def count(self, fired: Bool[Tensor, " unit"], rows: int, active: float) -> None:
        """Note what fired in a batch of so many rows, and the mean number of active units."""
        idle = self.state["idle"]
        idle += rows
        idle[fired] = 0
        self.told |= {"l0": active, "dead": float(self.dead.float().mean())}

    @property
    def dead(self) -> Bool[Tensor, " unit"]:
        """Units that were active at none of the last `dead_after` rows, of all processes together."""
        return self.state["idle"] * (1 if self.gathers else processes.count()) > self.dead_after

    def auxiliary(self, x: Float[Tensor, "row d_in"], left: Float[Tensor, "row d_out"]) -> Tensor | float:
        """The dead units' loss: with raw pre-activations they explain what the live ones `left`.

        Not rectified: a dead unit is one with negative pre-activations, and the gradient must reach its encoder.
        Counts less while few units are dead. `left` is detached.
        """
        dead = self.dead.nonzero()[:, 0]
        if not len(dead):
            return 0.0
        t, most, left = self.matrices, left.shape[1] // 2, left.detach()
        code = torch.addmm(t["b_enc"][dead], self.shifted(x), t["W_enc"][dead].T)
        if len(dead) > most:
            best = self.strength(code.detach()).topk(most, dim=1, sorted=False).indices
            code = torch.zeros_like(code).scatter(1, best, code.gather(1, best))
        error = code @ t["W_dec"][dead] - left
        share = error.square().sum() / left.square().sum().clamp_min(1e-12)
        return AUXILIARY * min(1.0, len(dead) / max(1, most)) * share

    def strength(self, raw: Float[Tensor, "row unit"]) -> Float[Tensor, "row unit"]:
        """By what the strongest pre-activations are found."""
        return raw

    def adjust(self, gradients: dict[str, Tensor]) -> None:
        if self.centred and "W_dec" in gradients:
            rows, grad = self.tensors["W_dec"], gradients["W_dec"]
            grad -= (grad * rows).sum(1, keepdim=True) * rows

    def settle(self, now: Moment) -> None:
        if self.centred:
            self.tensors["W_dec"] /= self.tensors["W_dec"].norm(dim=1, keepdim=True)

    def folded(self, x: Scaling, y: Scaling) -> dict[str, Any]:
        """The arguments of a `Learned` dictionary: W_enc, b_enc, W_dec, b_dec, centred, in the units of x and y.

        A code comes out `y.size` times as large as in training; thresholds must grow with it.
        """
        t, unit = self.matrices, y.size
        return {
            "W_enc": (t["W_enc"] * (unit / x.scale)).T.contiguous(),
            "b_enc": unit * (t["b_enc"] if self.centred else t["b_enc"] - t["W_enc"] @ (x.centre / x.scale)),
            "W_dec": t["W_dec"] * (y.scale / unit),
            "b_dec": y.centre + y.scale * t["b_dec"],
            "centred": self.centred,
        }
