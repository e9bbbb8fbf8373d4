"""Fit a TopK autoencoder. Source: Gao et al. 2024 (arXiv:2406.04093)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from clew.dictionaries.topk import TopK
from clew.sites import Site
from clew.training.loop import Batches, Progress, batches, loop

AUXILIARY = 1 / 32
"""Weight of the dead units' own loss."""
DEAD_AFTER = 20
"""A unit is dead when it was active at no position of so many batches."""


def topk(
    x: Float[Tensor, "token d_in"] | Iterable[Tensor],
    *,
    reads: Site | str,
    units: int,
    k: int,
    steps: int,
    batch: int = 1024,
    lr: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> TopK:
    """Learn `units` directions of which k sum to an activation.

    Args:
        x: activations, or an iterable of batches of them (then each is one step, and `batch` is not used).
        lr: Adam's rate; 4e-3 * sqrt(2304 / units) by default. The paper's 2e-4 * sqrt(2^14 / units) is made
            for a thousand times as many steps as a laptop can do.
        progress: called with (step, steps, fraction of variance unexplained in this batch).

    Returns: a TopK dictionary in the units of x: centring and scaling are folded into its tensors.
    `meta` keeps steps, seed and the last batch's unexplained variance. Differs from the paper: decoder rows
    start at activations instead of random directions, the encoder starts at the scale that fits best, and the
    auxiliary loss counts less while few units are dead.
    Raises: ValueError when there are fewer rows than units to start from or k does not fit.
    """
    if not 1 <= k <= units:
        raise ValueError(f"k is {k}; it must lie between 1 and the number of units, {units}")
    data = batches(x, batch, seed, first=max(8192, 2 * units))
    fit = Fit(data, units, k, seed)
    losses: list[float] = []

    def tell(step: int, of: int, loss: float) -> None:
        losses.append(loss)
        if progress:
            progress(step, of, loss)

    rate = lr if lr is not None else 4e-3 * math.sqrt(2304 / units)
    done = loop(fit.parameters, fit.gradients, data, steps=steps, lr=rate, settle=fit.settle, progress=tell)
    meta = {"steps": done, "batch": batch, "lr": rate, "seed": seed}
    meta |= {"unexplained": losses[-1]} if losses else {}
    return TopK(
        reads, k=k, centred=True, W_enc=fit.W_enc.T.contiguous(), b_enc=fit.b_enc * data.scale, W_dec=fit.W_dec,
        b_dec=data.centre + data.scale * fit.b_dec, **meta,
    )  # fmt: skip


class Fit:
    """The parameters while they are learned, both matrices as [unit, d_in] rows, and their exact gradients.

    Only k rows per token are touched after the pre-activations are known, so a step costs little more than
    the encoder's one matrix product; autograd's dense backward pass costs five times that.
    """

    def __init__(self, data: Batches, units: int, k: int, seed: int) -> None:
        x, g = data.first, torch.Generator().manual_seed(seed)
        if len(x) < units:
            raise ValueError(
                f"{len(x)} activations are too few to start {units} units from; record more or ask for fewer"
            )
        rows = x[torch.randperm(len(x), generator=g)[:units]]
        # A little noise keeps two equal activations from making one unit twice.
        self.W_dec = F.normalize(rows + 1e-3 * torch.randn(rows.shape, generator=g).to(rows), dim=1)
        self.W_enc, self.k = self.W_dec.clone(), k
        self.b_enc, self.b_dec = x.new_zeros(units), x.new_zeros(x.shape[1])
        self.variance = float((x - x.mean(0)).square().sum(1).mean())
        self.idle = torch.zeros(units, dtype=torch.long, device=x.device)
        # With W_enc = s W_dec the reconstruction is s times that of s = 1, so the best s is a ratio.
        value, index, _ = self.code(x[:2048])
        made = F.embedding_bag(index, self.W_dec, per_sample_weights=value, mode="sum")
        self.W_enc *= (made * x[:2048]).sum() / made.square().sum()

    @property
    def parameters(self) -> list[Tensor]:
        return [self.W_enc, self.b_enc, self.W_dec, self.b_dec]

    def code(
        self, x: Float[Tensor, "token d_in"]
    ) -> tuple[Float[Tensor, "token k"], Int[Tensor, "token k"], Float[Tensor, "token unit"]]:
        """Values and indices of the active units, and all raw pre-activations."""
        raw = torch.addmm(self.b_enc, x - self.b_dec, self.W_enc.T)
        value, index = raw.topk(self.k, dim=1, sorted=False)
        return value.relu(), index, raw

    def gradients(self, x: Float[Tensor, "token d_in"]) -> tuple[float, list[Tensor]]:
        """Loss (unexplained variance, without the auxiliary part) and the gradients of loss + auxiliary part."""
        value, index, raw = self.code(x)
        made = F.embedding_bag(index, self.W_dec, per_sample_weights=value, mode="sum") + self.b_dec
        error = made - x
        on_made = error * (2 / (len(x) * self.variance))
        on_value = self._along(index, on_made) * (value > 0)
        self.idle += 1
        self.idle[index[value > 0]] = 0
        on_enc, on_bias, on_dec = self._gather(x, index, value, on_value, on_made)
        on_b_dec = on_made.sum(0)
        dead = (self.idle > DEAD_AFTER).nonzero()[:, 0]
        if len(dead):
            parts = self._auxiliary(x, raw, -error, dead)
            on_enc, on_bias, on_dec = on_enc + parts[0], on_bias + parts[1], on_dec + parts[2]
        # b_dec is also taken off what is encoded.
        on_b_dec = on_b_dec - on_bias @ self.W_enc
        on_dec = on_dec - (on_dec * self.W_dec).sum(1, keepdim=True) * self.W_dec
        return float(error.square().sum(1).mean()) / self.variance, [on_enc, on_bias, on_dec, on_b_dec]

    def _along(self, index: Int[Tensor, "token k"], y: Float[Tensor, "token d_in"]) -> Float[Tensor, "token k"]:
        """<y, decoder row> for the active units. One small buffer of rows, used again: fresh memory costs more."""
        k, d, chunk = index.shape[1], y.shape[1], 128
        rows, found = y.new_empty(min(chunk, len(y)) * k, d), y.new_empty(index.shape)
        for at in range(0, len(y), chunk):
            some = index[at : at + chunk].flatten()
            here = torch.index_select(self.W_dec, 0, some, out=rows[: len(some)]).view(-1, k, d)
            torch.bmm(here, y[at : at + chunk, :, None], out=found[at : at + chunk, :, None])
        return found

    def _auxiliary(self, x: Tensor, raw: Tensor, left: Tensor, dead: Int[Tensor, " dead"]) -> tuple[Tensor, ...]:
        """Gradients of the dead units' loss: with their raw pre-activations they explain what the live ones `left`.

        Not rectified: a dead unit is one with negative pre-activations, and the gradient must reach it.
        """
        most = min(self.W_dec.shape[1] // 2, len(dead))
        value, place = raw[:, dead].topk(max(1, most), dim=1, sorted=False)
        index = dead[place]
        error = F.embedding_bag(index, self.W_dec, per_sample_weights=value, mode="sum") - left
        few = min(1.0, len(dead) / max(1, self.W_dec.shape[1] // 2))
        on_made = error * (2 * AUXILIARY * few / (left.square().sum().clamp_min(1e-12)))
        on_value = (on_made @ self.W_dec[dead].T).gather(1, place)
        return self._gather(x, index, value, on_value, on_made)

    def _gather(self, x: Tensor, index: Tensor, value: Tensor, on_value: Tensor, on_made: Tensor) -> tuple[Tensor, ...]:
        """Sum, for each unit, over the tokens where it is active: gradients of W_enc, b_enc and W_dec."""
        units = len(self.W_dec)
        unit, order = index.flatten().sort()
        token = order // index.shape[1]
        start = torch.searchsorted(unit, torch.arange(units, device=unit.device))
        on_value = on_value.flatten()
        on_dec = F.embedding_bag(token, on_made, start, mode="sum", per_sample_weights=value.flatten()[order])
        on_enc = F.embedding_bag(token, x - self.b_dec, start, mode="sum", per_sample_weights=on_value[order])
        return on_enc, on_value.new_zeros(units).index_add(0, index.flatten(), on_value), on_dec

    def settle(self) -> None:
        """Decoder rows have length one, so that an activation is a length in the units of x."""
        self.W_dec /= self.W_dec.norm(dim=1, keepdim=True)
