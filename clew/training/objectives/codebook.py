"""Learn a codebook: every activation as the mean of k codes. Source: Tamkin et al. 2023 (arXiv:2310.17230)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import Codebook
from clew.scale import processes
from clew.sites import Site
from clew.training.objective import Clock, Objective, Scaling
from clew.training.objectives._checks import check_k
from clew.training.objectives._dead import count, dead, never
from clew.training.objectives._matrices import best_scale, some_rows, variance
from clew.training.objectives._sparse import Active, write


def codebook(
    *,
    units: int,
    k: int,
    kmeans: int = 0,
    lr: float | None = None,
    dead_after: int = 100_000,
    every: int = 50,
) -> Codes:
    """`units` codes, of which the k that go furthest along an activation stand for it by their mean.

    Args:
        kmeans: rounds of k-means on the first rows, by direction, before the codes are learnt; 0 starts at rows.
        lr: Adam's rate; 0.03 * sqrt(k) by default, as codes whose mean is a row are about sqrt(k) times as long as it.
        dead_after: a code that was chosen at none of so many rows becomes the row that is explained worst.
        every: steps between two looks for dead codes.

    Differs from the paper: the model stays as it is instead of being finetuned, so the loss is the reconstruction of
    the activations alone, and rows are centred and scaled instead of normalised each.
    Raises: ValueError when an option does not fit.
    """
    check_k(k, units, "codes")
    if kmeans < 0 or every < 1:
        raise ValueError(f"kmeans={kmeans} must be at least 0 rounds, and every={every} at least 1 step")
    rate = 0.03 * k**0.5 if lr is None else lr
    return Codes(units, k, kmeans=kmeans, every=every, lr=rate, dead_after=dead_after)


class Codes(Objective):
    """`codes` [unit, d] is all that is learnt: there is no encoder, and nothing to shrink."""

    def __init__(self, units: int, k: int, *, kmeans: int, every: int, lr: float, dead_after: int) -> None:
        super().__init__(lr)
        self.units, self.k, self.kmeans, self.every, self.dead_after = units, k, kmeans, every, dead_after
        self.worst: Tensor | None = None
        """The last batch's rows, the worst explained first; looked at in the same step only."""

    def start(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], g: torch.Generator) -> None:
        codes = some_rows(self.units, x, g)
        self.state = {"variance": variance(x), "idle": never(self.units, x)}
        for _ in range(self.kmeans):
            codes = nearer(codes, x)
        self.tensors = {"codes": codes}
        codes *= best_scale(self.reconstruct(x[:2048]), x[:2048])

    @property
    def dead(self) -> Bool[Tensor, " unit"]:
        return dead(self, self.dead_after)

    def chosen(self, x: Float[Tensor, "row d"]) -> tuple[Active, Float[Tensor, " active"]]:
        """Which codes stand for each row, and 1 / k for each of them."""
        along = x @ F.normalize(self.tensors["codes"].detach(), dim=1).T
        active = Active.rows(along.topk(self.k, dim=1, sorted=False).indices, self.units)
        return active, x.new_full((len(active.unit),), 1 / self.k)

    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Clock) -> Float[Tensor, ""]:
        active, share = self.chosen(x)
        error = write(share, self.tensors["codes"], active) - x
        count(self, active.fired(share), len(x), float(self.k), self.dead_after)
        if now.step % self.every == 0:
            self.worst = x[error.detach().square().sum(1).argsort(descending=True)]
        loss = error.square().sum(1).mean() / self.state["variance"]
        self.told["unexplained"] = float(loss.detach())
        return loss

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        active, share = self.chosen(x)
        return write(share, self.tensors["codes"], active)

    def settle(self, now: Clock) -> None:
        """Let rows that are explained worst take the places of dead codes."""
        if self.worst is None:
            return
        dead = self.dead.nonzero()[: len(self.worst), 0]
        if len(dead):
            # As long as the codes that are chosen: k of them have a mean much shorter than each.
            codes = self.tensors["codes"]
            rows = self.worst[: len(dead)].clone()
            processes.share({"rows": rows})
            codes[dead] = F.normalize(rows, dim=1) * codes[~self.dead].norm(dim=1).mean()
            self.state["idle"][dead] = 0
        self.worst = None

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Codebook:
        codes = self.tensors["codes"] * y.scale
        return Codebook(reads[0], writes[0], codes=codes, b_dec=y.centre, k=self.k, **meta)


def nearer(codes: Float[Tensor, "unit d"], x: Float[Tensor, "row d"]) -> Float[Tensor, "unit d"]:
    """One round of k-means by direction: each code, of length one, becomes that of the mean of the rows nearest to it."""
    nearest = (x @ codes.T).argmax(1)
    total = torch.zeros_like(codes).index_add_(0, nearest, x)
    met = torch.zeros(len(codes)).to(x).index_fill_(0, nearest, 1.0)[:, None] > 0
    return torch.where(met, F.normalize(total, dim=1), codes)
