"""Learn a crosscoder: one sparse code for several sites, by BatchTopK. Source: Minder et al. 2025 (arXiv:2504.02922)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import Crosscoder
from clew.sites import Site
from clew.training.objective import Coder, Decoder, Moment, Scaling
from clew.training.objectives.batchtopk import BatchTopKCoder


def crosscoder(
    *,
    units: int,
    k: int,
    lr: float | None = None,
    decoder: Decoder = "learnt",
    dead_after: int = 100_000,
    half: bool | None = None,
) -> Coder:
    """`units` directions through several sites at once, of which k sum to an activation on average.

    Units are ranked by value times the sum of their directions' lengths over the sites, and the k * batch largest
    survive; afterwards a threshold decides. Keeping k units rather than paying for them by length leaves a unit that
    matters at one site its small share at the others: an L1 penalty drives that to zero and makes false differences.

    Args: as for `topk`; each site is scaled to one size, whatever its width. Differs from the source: the sum of the
    lengths is held at one, which changes no code that can be had, and saves ranking by it.
    Raises: ValueError when k does not fit, or for fewer than two sites.
    """
    return CrosscoderCoder(units, k, lr=lr, decoder=decoder, dead_after=dead_after, half=half)


class Joint(Coder):
    """Several sites side by side; the lengths of a unit's direction, one per site, sum to one."""

    several = True

    def place(self, reads: Mapping[Site, int], writes: Mapping[Site, int]) -> None:
        super().place(reads, writes)
        if len(reads) < 2:
            raise ValueError(f"a crosscoder reads at least two sites; it was given {', '.join(map(str, reads))} alone")

    def lengths(self, rows: Float[Tensor, "unit d"]) -> Float[Tensor, "unit site"]:
        """Of each site's share of the rows."""
        return torch.stack([part.norm(dim=1) for part in rows.split(list(self.reads.values()), dim=1)], dim=1)

    def _rows(self, x: Tensor, g: torch.Generator) -> Float[Tensor, "unit d"]:
        rows = super()._rows(x, g)
        return rows / self.lengths(rows).sum(1, keepdim=True)

    def adjust(self, gradients: dict[str, Tensor]) -> None:
        """Take out of the decoder's gradient what would only change the sum of the lengths."""
        if "W_dec" in gradients:
            rows, grad, widths = self.tensors["W_dec"], gradients["W_dec"], list(self.reads.values())
            parts = rows.split(widths, dim=1)
            grows = torch.cat([part / part.norm(dim=1, keepdim=True).clamp_min(1e-12) for part in parts], dim=1)
            grad -= (grad * grows).sum(1, keepdim=True) / grows.square().sum(1, keepdim=True).clamp_min(1e-12) * grows

    def settle(self, now: Moment) -> None:
        rows = self.tensors["W_dec"]
        rows /= self.lengths(rows).sum(1, keepdim=True)

    def joined(self, x: Scaling, y: Scaling, **rest: Any) -> Crosscoder:
        """The dictionary in the units of the activations."""
        scales = [float(part.mean()) for part in y.scale.split(list(self.reads.values()))]
        return Crosscoder(
            sites=list(self.reads), widths=list(self.reads.values()), scales=scales, **self.folded(x, y), **rest
        )


class CrosscoderCoder(Joint, BatchTopKCoder):
    """BatchTopK over several sites."""

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Crosscoder:
        return self.joined(x, y, threshold=y.size * self.state["threshold"], **meta)
