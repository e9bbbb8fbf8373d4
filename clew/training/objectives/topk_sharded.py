"""Learn one wide TopK autoencoder with several processes, each of which holds some of its units.

Source: Gao et al. 2024 (arXiv:2406.04093), section on systems. Where `topk` under torchrun keeps all units on every
device and averages gradients, here no device ever holds more than its share of the weights, gradients and moments after
the start: what travels is the rows of a batch, the k best values of each device, and one sum of reconstructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.dictionaries import TopK
from clew.scale import processes
from clew.sites import Site
from clew.training.objective import Clock, Objective, Scaling
from clew.training.objectives._checks import check_k
from clew.training.objectives._dead import count, dead, never, share
from clew.training.objectives._matrices import across, best_scale, folded, rate, some_rows, variance
from clew.training.objectives._ranked import by_half, chosen
from clew.training.objectives._sparse import Active, write


def topk_sharded(
    *, units: int, k: int, lr: float | None = None, dead_after: int = 100_000, half: bool | None = None
) -> Sharded:
    """`topk`, its units divided among the processes of torchrun; alone it is `topk`.

    A step sees the rows of all processes, so `batch` is per process. Checkpoints need a folder that all can reach.
    Args: as for `topk`. Raises: ValueError when k does not fit, or for fewer units than processes.
    """
    return Sharded(units, check_k(k, units), half, lr=rate(units, lr), dead_after=dead_after)


class Sharded(Objective):
    """This process holds rows `mine` of the units; `b_dec` is alike on all."""

    gathers = True
    sharded = True

    def __init__(self, units: int, k: int, half: bool | None, *, lr: float, dead_after: int) -> None:
        super().__init__(lr)
        world, rank = processes.count(), processes.rank()
        if units < world:
            raise ValueError(f"{units} units cannot be divided among {world} processes; give each at least one")
        self.whole, self.mine = units, slice(units * rank // world, units * (rank + 1) // world)
        self.units, self.k, self.half, self.dead_after = self.mine.stop - self.mine.start, k, half, dead_after

    def start(self, x: Float[Tensor, "row d"], y: Float[Tensor, "row d"], g: torch.Generator) -> None:
        """From the first process's rows. Rows are drawn as `topk` draws them; each process then keeps its own."""
        first = processes.gather(x if processes.rank() == 0 else x.new_empty(0, x.shape[1]))
        rows, zero = some_rows(self.whole, first, g, self.mine), x.new_zeros
        self.tensors = {"W_enc": rows.clone(), "b_enc": zero(self.units), "W_dec": rows, "b_dec": zero(x.shape[1])}
        self.state = {"variance": variance(first), "idle": never(self.units, first)}
        self.tensors["W_enc"] *= best_scale(self.reconstruct(first[:2048]), first[:2048])

    def best(self, raw: Float[Tensor, "row unit"], k: int) -> tuple[Int[Tensor, "row few"], Bool[Tensor, "row few"]]:
        """This process's largest entries of each row, and which of them are among the k largest of all processes."""
        few = min(k, raw.shape[1])
        value, index = raw.topk(few, dim=1)
        before = processes.gather(torch.tensor([few], device=raw.device))[: processes.rank()].sum()
        every = processes.gather(value.T.contiguous()).T
        place = every.topk(min(k, every.shape[1]), dim=1, sorted=False).indices
        kept = torch.zeros(every.shape, dtype=torch.bool, device=raw.device).scatter_(1, place, True)
        return index, kept[:, int(before) : int(before) + few]

    def choose(self, raw: Float[Tensor, "row unit"]) -> Active:
        index, kept = self.best(raw, self.k)
        return Active(index[kept], kept.sum(1), self.units)

    def active(self, x: Float[Tensor, "row d"]) -> tuple[Active, Float[Tensor, " active"]]:
        """Which of my units are active, and their values."""
        t, half = self.tensors, by_half(self.settings, self.half, self.tensors["W_enc"])
        encoder = (t["W_enc"], t["b_enc"], t["b_dec"])
        active, raw = chosen(x, (x - t["b_dec"]).detach(), encoder, self.choose, half=half)
        return active, raw.relu()

    def loss(self, x: Float[Tensor, "row d"], y: Float[Tensor, "row d"], now: Clock) -> Float[Tensor, ""]:
        x = processes.gather(x)
        active, value = self.active(x)
        b_dec = self.tensors["b_dec"]
        # Only the first process's b_dec feels the decoder, all feel their encoders: the sum in `adjust` is then right.
        made = _Sum.apply(write(value, self.tensors["W_dec"], active)) + (b_dec.detach() if processes.rank() else b_dec)
        error = made - x
        loss = error.square().sum(1).mean() / self.state["variance"]
        self.note(active, value.detach(), float(loss.detach()))
        return loss + self.revived(x, -error.detach())

    def note(self, active: Active, value: Float[Tensor, " active"], unexplained: float) -> None:
        """Count what fired here, and tell of all processes together."""
        on = float(processes.summed((value != 0).sum()))
        count(self, active.fired(value), len(active.count), on / len(active.count), self.dead_after)
        idle = processes.summed(dead(self, self.dead_after).sum())
        self.told |= {"dead": float(idle) / self.whole, "unexplained": unexplained}

    def revived(self, x: Float[Tensor, "row d"], left: Float[Tensor, "row d"]) -> Tensor | float:
        """The dead units of all processes explain what is left, the best of them where they are many."""
        which, most = dead(self, self.dead_after).nonzero()[:, 0], max(1, left.shape[1] // 2)
        n = int(processes.summed(torch.tensor(len(which), device=x.device)))
        if not n:
            return 0.0
        t = self.tensors
        code = torch.addmm(t["b_enc"][which], x - t["b_dec"], t["W_enc"][which].T)
        if n > most:
            index, kept = self.best(code.detach(), most)
            code = code * torch.zeros_like(code).scatter_(1, index, kept.to(code))
        return share(_Sum.apply(code @ t["W_dec"][which]), left, n, most)

    def adjust(self, gradients: dict[str, Tensor]) -> None:
        processes.summed(gradients["b_dec"])
        across(gradients["W_dec"], self.tensors["W_dec"])

    def settle(self, now: Clock) -> None:
        self.tensors["W_dec"] /= self.tensors["W_dec"].norm(dim=1, keepdim=True)

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d"]) -> Float[Tensor, "row d"]:
        """Of rows that are alike on all processes."""
        active, value = self.active(x)
        return processes.summed(write(value, self.tensors["W_dec"], active)) + self.tensors["b_dec"]

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> TopK:
        """The whole dictionary, on every process."""
        self.tensors = {n: t if n == "b_dec" else processes.gather(t) for n, t in self.tensors.items()}
        return TopK(reads[0], writes[0], k=self.k, **folded(self.tensors, x, y, centred=True), **meta)


class _Sum(torch.autograd.Function):
    """The sum over processes of a term each: a change of my term changes the sum by as much."""

    @staticmethod
    def forward(ctx: Any, term: Tensor) -> Tensor:
        return processes.summed(term.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]
