"""Partition: groups of coordinates as units; at `head.3` these are the heads of block 3."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.identity import Identity
from clew.sites import Site


class Partition(Identity):
    """The code of x is x, but unit i is a run of `sizes[i]` coordinates, whose effects are summed."""

    kind = "partition"

    def __init__(
        self, reads: Site | str, sizes: Sequence[int], *, writes: Site | str | None = None, **meta: Any
    ) -> None:
        super().__init__(reads, sum(sizes), writes=writes, **meta)
        if min(sizes) < 1:
            raise ValueError(f"every group of {self.reads} needs at least one coordinate; the sizes are {list(sizes)}")
        self.sizes = tuple(sizes)
        self.register_buffer("counts", torch.tensor(self.sizes), persistent=False)

    counts: Tensor

    @property
    def unit(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A head, an expert, or where the parts are of another site, a component."""
        return self.reads.part if self.reads.part in ("head", "expert") else "component"

    @property
    def n_units(self) -> int:
        return len(self.sizes)

    def fold(self, code: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        return torch.stack([group.sum(-1) for group in code.split(self.sizes, dim=-1)], dim=-1)

    def unfold(self, unit: Tensor) -> Tensor:
        return unit.repeat_interleave(self.counts, dim=-1, output_size=self.d)

    @property
    def settings(self) -> dict[str, Any]:
        return {"sizes": list(self.sizes)}
