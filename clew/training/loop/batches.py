"""A source in shuffled, scaled batches, and the centre and scale that make sites alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.readings.source import Source
from clew.scale import processes
from clew.sites import Site
from clew.training.objective import Scaling
from clew.training.plan import Plan, seed_of

OUTLIER = 5.0
"""Rows this many times further from the centre than the typical row are left out of training: attention sinks."""
FIRST = 8192
"""Rows that fix the centre and the scale, and from which dictionaries start (more where more units are wanted)."""


Cursor = tuple[int, int]
"""Round of the source, and how many of its batches are done."""


@dataclass(frozen=True)
class Batch:
    """Scaled rows of every site, and which of them are no outliers there."""

    x: Mapping[Site, Float[Tensor, "row d"]]
    near: Mapping[Site, Bool[Tensor, " row"]]

    def rows(self, plan: Plan) -> tuple[Tensor, Tensor]:
        """What the plan reads and writes; sites side by side where there are several, rows near at all of them."""
        kept = torch.stack([self.near[s] for s in dict.fromkeys((*plan.inputs, *plan.outputs))]).all(0)
        inside = bool(kept.all())

        def side_by_side(sites: tuple[Site, ...]) -> Tensor:
            x = self.x[sites[0]] if len(sites) == 1 else torch.cat([self.x[s] for s in sites], dim=1)
            return x if inside else x[kept]

        x = side_by_side(plan.inputs)
        return x, x if plan.inputs == plan.outputs else side_by_side(plan.outputs)


class Batches:
    """A source in shuffled, scaled batches. Step n is always the same rows, so a killed run goes on exactly.

    Each round is shuffled by its number and cut into equal batches of about the size wanted, so that every row is
    used once per epoch and nothing is carried from one round to the next.
    """

    def __init__(
        self, source: Source, plans: Sequence[Plan], batch: int, seed: int, device: torch.device | str | None
    ) -> None:
        self.source, self.batch, self.seed, self.device = source, batch, seed, device
        self._held: tuple[int, dict[Site, Tensor]] | None = None
        self.sites = sorted({s for plan in plans for s in (*plan.inputs, *plan.outputs)})
        head = max([FIRST, *(2 * int(plan.options.get("units", 0)) for plan in plans)])
        rows, n, number = [], 0, 0
        while n < head and number < source.rounds:
            rows.append(self._round(number))
            n, number = n + len(rows[-1][self.sites[0]]), number + 1
        first = {s: torch.cat([r[s] for r in rows]) for s in self.sites}
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:head]
        first = {s: x[order.to(x.device)].float() for s, x in first.items()}
        self.scalings = {s: scaling(x, s) for s, x in first.items()}
        self.reach = {s: _reach(x, self.scalings[s]) for s, x in first.items()}
        processes.share({f"{s} {n}": t for s in self.sites for n, t in vars(self.scalings[s]).items()})
        processes.share({f"{s} reach": t for s, t in self.reach.items()})
        self.first = self._batch(first)

    def after(self, step: int, cursor: Cursor, steps: int) -> Iterator[tuple[int, Cursor, Batch]]:
        """(step, cursor, batch) for each step after `step`, which ended at `cursor`, up to `steps`."""
        number, done = cursor
        while step < steps:
            rows = self._round(number)
            n = len(rows[self.sites[0]])
            cuts = processes.largest(max(1, round(n / self.batch)))
            order = torch.randperm(n, generator=torch.Generator().manual_seed(seed_of(f"round {number}", self.seed)))
            for some in order.tensor_split(cuts)[done : done + steps - step]:
                step, done = step + 1, done + 1
                yield step, (number, done), self._batch({s: x[some.to(x.device)] for s, x in rows.items()})
            number, done = number + 1, 0

    def _round(self, number: int) -> dict[Site, Tensor]:
        if self._held and self._held[0] == number:
            return self._held[1]
        rows = self.source.round(number, self.sites)
        found = {s: rows[s].to(self.device) if self.device is not None else rows[s] for s in self.sites}
        self._held = (number, found)
        return found

    def _batch(self, rows: Mapping[Site, Tensor]) -> Batch:
        x, near = {}, {}
        for site, some in rows.items():
            s = self.scalings[site]
            x[site] = (some.to(s.centre) - s.centre) / s.scale
            near[site] = x[site].norm(dim=1) <= self.reach[site]
        return Batch(x, near)


def scaling(x: Float[Tensor, "row d"], site: Site) -> Scaling:
    """Centre and scale that bring typical rows to a mean norm of sqrt(d). Raises: ValueError when that cannot be."""
    if not x.isfinite().all():
        raise ValueError(
            f"the activations of {site} hold values that are not finite; record them again in a wider dtype"
        )
    centre = geometric_median(x)
    away = (x - centre).norm(dim=1)
    size = float(away[away <= OUTLIER * away.median()].mean()) / math.sqrt(x.shape[1])
    if not size > 0:
        raise ValueError(
            f"all {len(x)} activations of {site} are equal, so there is nothing to learn; record other text"
        )
    return Scaling(centre, torch.full_like(centre, size))


def _reach(x: Tensor, s: Scaling) -> Float[Tensor, ""]:
    return OUTLIER * (x - s.centre).norm(dim=1).median() / s.size


def geometric_median(x: Float[Tensor, "row d"], rounds: int = 100) -> Float[Tensor, " d"]:
    """The point with the least summed distance to all rows, by Weiszfeld's rounds: a mean that outliers do not move."""
    here = x.mean(0)
    for _ in range(rounds):
        weight = 1 / (x - here).norm(dim=1).clamp_min(1e-8)
        before, here = here, weight @ x / weight.sum()
        if (here - before).norm() <= 1e-5 * here.norm():
            break
    return here
