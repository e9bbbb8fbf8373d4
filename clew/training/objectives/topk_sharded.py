"""Learn one wide TopK autoencoder with several processes, each of which holds some of its units.

Source: Gao et al. 2024 (arXiv:2406.04093), section on systems. Where `topk` under torchrun keeps all units on every
device and averages gradients, here no device ever holds more than its share of the weights, gradients and moments after
the start: what travels is the rows of a batch, the k best values of each device, and one sum of reconstructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.dictionaries import Dictionary
from clew.scale import processes
from clew.sites import Site
from clew.training.objective import AUXILIARY, Coder, Moment, Scaling
from clew.training.objectives._sparse import Active, write
from clew.training.objectives.topk import TopKCoder


def topk_sharded(
    *, units: int, k: int, lr: float | None = None, dead_after: int = 100_000, half: bool | None = None
) -> Coder:
    """`topk`, its units divided among the processes of torchrun; alone it is `topk`.

    A step sees the rows of all processes, so `batch` is per process. Checkpoints need a folder that all can reach.
    Args: as for `topk`. Raises: ValueError when k does not fit, or for fewer units than processes.
    """
    return ShardedCoder(units, k, lr=lr, dead_after=dead_after, half=half)


class ShardedCoder(TopKCoder):
    """This process holds rows `mine` of the units; `b_dec` is alike on all."""

    gathers = True
    sharded = True

    def __init__(self, units: int, k: int, **rest: Any) -> None:
        super().__init__(units, k, **rest)
        world, rank = processes.count(), processes.rank()
        if units < world:
            raise ValueError(f"{units} units cannot be divided among {world} processes; give each at least one")
        self.whole, self.mine = units, slice(units * rank // world, units * (rank + 1) // world)
        self.units = self.mine.stop - self.mine.start

    def start(self, x: Float[Tensor, "row d"], y: Float[Tensor, "row d"], g: torch.Generator) -> None:
        first = x if processes.rank() == 0 else x.new_empty(0, x.shape[1])
        first = processes.gather(first)
        super().start(first, first, g)

    def _rows(self, x: Tensor, g: torch.Generator) -> Float[Tensor, "unit d"]:
        if len(x) < self.whole:
            raise ValueError(
                f"{len(x)} activations are too few to start {self.whole} units from; record more or ask for fewer units"
            )
        # As `topk` draws them; each process then keeps its own.
        rows = x[torch.randperm(len(x), generator=g)[: self.whole][self.mine].to(x.device)]
        noise = torch.randn(self.whole, x.shape[1], generator=g)[self.mine].to(rows)
        return F.normalize(rows + 1e-3 * noise, dim=1)

    def best(self, raw: Float[Tensor, "row unit"], k: int) -> tuple[Int[Tensor, "row few"], Bool[Tensor, "row few"]]:
        """This process's largest entries of each row, and which of them are among the k largest of all processes."""
        few = min(k, raw.shape[1])
        value, index = raw.topk(few, dim=1)
        before = processes.gather(torch.tensor([few], device=raw.device))[: processes.rank()].sum()
        every = processes.gather(value.T.contiguous()).T
        place = every.topk(min(k, every.shape[1]), dim=1, sorted=False).indices
        kept = torch.zeros(every.shape, dtype=torch.bool, device=raw.device).scatter_(1, place, True)
        return index, kept[:, int(before) : int(before) + few]

    def choose(self, raw: Float[Tensor, "row unit"], now: Moment) -> Active:
        index, kept = self.best(raw, self.k)
        return Active(index[kept], kept.sum(1), self.units)

    def loss(self, x: Float[Tensor, "row d"], y: Float[Tensor, "row d"], now: Moment) -> Float[Tensor, ""]:
        x = processes.gather(x)
        active, value = self.active(x, now)
        b_dec = self.tensors["b_dec"]
        # Only the first process's b_dec feels the decoder, all feel their encoders: the sum in `adjust` is then right.
        made = _Sum.apply(write(value, self.tensors["W_dec"], active)) + (b_dec.detach() if processes.rank() else b_dec)
        error = made - x
        loss = self.unexplained(error)
        self.note(active, value.detach(), loss, now)
        return loss + self.auxiliary(x, -error)

    def note(self, active: Active, value: Float[Tensor, " active"], loss: Tensor, now: Moment) -> None:
        on = float(processes.summed((value != 0).sum()))
        self.count(active.fired(value), len(active.count), on / len(active.count))
        self.told |= {
            "dead": float(processes.summed(self.dead.sum())) / self.whole,
            "unexplained": float(loss.detach()),
        }

    def auxiliary(self, x: Float[Tensor, "row d"], left: Float[Tensor, "row d"]) -> Tensor | float:
        dead, most, left = self.dead.nonzero()[:, 0], max(1, left.shape[1] // 2), left.detach()
        n = int(processes.summed(torch.tensor(len(dead), device=x.device)))
        if not n:
            return 0.0
        t = self.tensors
        code = torch.addmm(t["b_enc"][dead], x - t["b_dec"], t["W_enc"][dead].T)
        if n > most:
            index, kept = self.best(code.detach(), most)
            code = code * torch.zeros_like(code).scatter_(1, index, kept.to(code))
        error = _Sum.apply(code @ t["W_dec"][dead]) - left
        share = error.square().sum() / left.square().sum().clamp_min(1e-12)
        return AUXILIARY * min(1.0, n / most) * share

    def adjust(self, gradients: dict[str, Tensor]) -> None:
        processes.summed(gradients["b_dec"])
        super().adjust(gradients)

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d"]) -> Float[Tensor, "row d"]:
        """Of rows that are alike on all processes."""
        active, value = self.active(x, Moment(1, 1))
        return processes.summed(write(value, self.tensors["W_dec"], active)) + self.tensors["b_dec"]

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        """The whole dictionary, on every process."""
        self.tensors = {n: t if n == "b_dec" else processes.gather(t) for n, t in self.tensors.items()}
        return super().finish(reads, writes, x, y, **meta)


class _Sum(torch.autograd.Function):
    """The sum over processes of a term each: a change of my term changes the sum by as much."""

    @staticmethod
    def forward(ctx: Any, term: Tensor) -> Tensor:
        return processes.summed(term.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]
