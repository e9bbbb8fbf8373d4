"""Sources: rows of activations to learn from, in rounds that fit into memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.data.text.windows import Windows
from clew.models import Model
from clew.scale import processes
from clew.sites import PATTERNS, Site

ROUND = 65_536
"""Rows in a round."""


@runtime_checkable
class Source(Protocol):
    """Rows to learn from, in rounds that fit into memory."""

    @property
    def sites(self) -> list[Site]: ...

    @property
    def rounds(self) -> int:
        """Rounds per epoch, at least 1."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """Where the rows come from, as plain JSON; goes into what is learnt from them."""
        ...

    def round(self, number: int, sites: Sequence[Site] | None = None) -> dict[Site, Float[Tensor, "token d"]]:
        """The rows of some sites (all by default) in one round, aligned by row over the sites, of any float dtype.

        `number` counts on over epochs: `number // rounds` is the epoch. The same number always gives the same rows,
        so a killed run resumes exactly. Rows come unshuffled, but a round is a fair sample of the whole. Of several
        processes that learn together (`place`), each has its own rounds.
        """
        ...


class Rows:
    """Tensors as a source. A round takes every n-th row, so that it is a sample of the whole text."""

    def __init__(
        self,
        rows: Mapping[Site, Tensor] | Mapping[str, Tensor],
        round: int = ROUND,
        *,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        """Of [token, d] at each site. Raises: ValueError for another shape, no rows, or sites that differ in their number."""
        self._rows = dict(sorted(((Site.parse(site), x) for site, x in rows.items()), key=lambda pair: pair[0]))
        shapes = {str(site): tuple(x.shape) for site, x in self._rows.items()}
        counts = {shape[0] if len(shape) == 2 else 0 for shape in shapes.values()}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(
                f"a source needs [token, d] of equally many rows, at least one, at every site, not {shapes}"
            )
        self.rank, self.world = place(rank, world)
        self.rounds = shared_rounds(round_up(count := counts.pop(), round), count, self.world, "rows")

    @property
    def sites(self) -> list[Site]:
        return list(self._rows)

    @property
    def about(self) -> Mapping[str, Any]:
        return {"rows": {str(site): list(x.shape) for site, x in self._rows.items()}}

    def round(self, number: int, sites: Sequence[Site] | None = None) -> dict[Site, Float[Tensor, "token d"]]:
        first = number % self.rounds * self.world + self.rank
        return {site: self._rows[site][first :: self.rounds * self.world] for site in sites or self._rows}


class Live:
    """Activations made when they are asked for: the model runs some windows for each round. Nothing is stored."""

    def __init__(
        self,
        model: Model,
        windows: Windows,
        *,
        sites: Sequence[Site | str],
        round: int = ROUND,
        batch: int = 2048,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        """Rows of `windows` in a new seeded random order every epoch.

        Args:
            sites: the pass stops at the last of them.
            round: about how many rows make a round.
            batch: tokens that run at once.
            rank, world: this process and how many there are; each makes every world-th round. Asked of
                torch.distributed, or of torchrun's environment, when left out.

        Raises: ValueError for fewer windows than processes.
        """
        self.sites = checked_sites(model, sites)
        self.rank, self.world = place(rank, world)
        self.rounds = shared_rounds(round_up(windows.tokens, round), len(windows), self.world, "windows")
        self._model, self._windows, self._batch, self._seed = model, windows, batch, seed

    @property
    def about(self) -> Mapping[str, Any]:
        return {
            "model": self._model.name,
            "weights": self._model.body.fingerprint,
            "policy": dict(self._windows.policy),
            "run in": str(self._model.body.dtype).removeprefix("torch."),
            "seed": self._seed,
        }

    def round(self, number: int, sites: Sequence[Site] | None = None) -> dict[Site, Float[Tensor, "token d"]]:
        epoch, inside = divmod(number, self.rounds)
        parts = permutation(len(self._windows), self._seed, epoch).tensor_split(self.rounds * self.world)
        some = parts[inside * self.world + self.rank]
        return harvest(self._model, self._windows.take(some), sites or self.sites, self._batch)


def harvest(model: Model, windows: Windows, sites: Sequence[Site], batch: int) -> dict[Site, Float[Tensor, "token d"]]:
    """What flows at the sites at the positions that count, in the order of the windows, in one pass that stops early.

    Args: batch: tokens that run at once. Returns: tensors in the model's dtype, on its device.
    """
    rows: dict[Site, Tensor] = {}
    model = replace(
        model, view=model.dictionaries
    )  # a plain model would build its neurons' dictionaries for every batch
    first = windows.kept_lengths.cumsum(0) - windows.kept_lengths
    for some in windows.batches(batch, left=model.body.layout.causal):
        with torch.inference_mode():
            trace = model.run(some.ids, real=some.real, read=sites, logits=0)
        # Both are worked out where they lie, on the CPU: a mask on the device would make every site wait for it.
        taken = some.keep.flatten().nonzero()[:, 0]
        into = (some.keep.cumsum(1) - 1 + first[some.index, None]).flatten()[taken]
        taken, into = taken.to(model.device), into.to(model.device)
        for site in sites:
            x = trace[site].flatten(0, 1)
            if site not in rows:
                rows[site] = x.new_empty(windows.tokens, x.shape[1])
            rows[site].index_copy_(0, into, x[taken])
    return rows


def checked_sites(model: Model, sites: Sequence[Site | str]) -> list[Site]:
    """The sites in forward order, each once. Raises: ValueError for none, or one whose values are no rows of one width."""
    chosen = sorted({model.body.site(s) for s in sites})
    if not chosen:
        raise ValueError(f"name at least one site to read, as in 'resid.{model.n_layers // 2}'")
    if any(s.part in PATTERNS for s in chosen):
        raise ValueError("the width of a pattern is the length of its window, so patterns make no rows to learn from")
    return chosen


def place(rank: int | None, world: int | None) -> tuple[int, int]:
    """This process's number and how many there are: as given, of torch.distributed, of torchrun's environment, or 0 of 1."""
    if (rank is None) != (world is None):
        raise ValueError("rank and world belong together: give both or neither")
    if rank is None or world is None:
        if processes.met():
            return processes.rank(), processes.count()
        rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if not 0 <= rank < world:
        raise ValueError(f"there is no process {rank} of {world}; they count from 0 to {world - 1}")
    return rank, world


def shared_rounds(rounds: int, parts: int, world: int, what: str) -> int:
    """Rounds per process and epoch, the same for all of them and none empty. Raises: ValueError for too few parts."""
    if parts < world:
        raise ValueError(f"{parts} {what} cannot be shared among {world} processes; give more text, or start fewer")
    return min(round_up(rounds, world), parts // world)


def permutation(n: int, seed: int, epoch: int) -> Int[Tensor, " n"]:
    """A random order of n things that depends on the seed and the epoch only, and on no other random stream."""
    own = int.from_bytes(hashlib.sha256(f"order {seed} {epoch}".encode()).digest()[:7], "big")
    return torch.randperm(n, generator=torch.Generator().manual_seed(own))


def round_up(n: int, size: int) -> int:
    """How many parts of `size` hold n things."""
    return -(-n // size)
