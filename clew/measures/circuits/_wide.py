"""Ablations at a wide dictionary, from what fires in it alone: of a circuit the few units that it has there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.changes import Through
from clew.circuits.circuit import ANYWHERE, ERROR, Circuit
from clew.dictionaries.dictionary import Learned
from clew.dictionaries.sparse import Sparse, encode, write
from clew.models import Trace
from clew.readings.contrast import MeanStates, fires
from clew.sites import Site


@dataclass(frozen=True)
class Otherwise:
    """The other state of a site with a wide dictionary on some prompts."""

    code: Sparse
    row: Int[Tensor, "example seq"]
    """Which row of the code is that of each token."""
    decoded: Float[Tensor, "example seq d_out"]
    error: Float[Tensor, "example seq d_out"]


@dataclass(frozen=True, eq=False, repr=False)
class Exchange(Through):
    """Units take their codes of another state: all but those picked or, in a copy that is a `complement`, these alone.

    The batch is some copies of the prompts, one after the other, each with units of its own.
    """

    picked: Sparse = field(kw_only=True)
    """[copy * seq, unit]: its keys are what counts."""
    complement: Bool[Tensor, " copy"] = field(kw_only=True)
    error: Bool[Tensor, "copy seq"] = field(kw_only=True)
    """Where the error stays; elsewhere it takes the other one."""
    other: Otherwise = field(kw_only=True)

    def rewritten(self, dictionary: Any, read: Tensor, value: Tensor) -> Tensor:
        copies, examples = len(self.complement), len(self.other.row)
        decoded, error = (x.repeat(copies, 1, 1) for x in (self.other.decoded, self.other.error))
        if not (len(self.picked.key) or self.complement.any() or self.error.any()):
            return (decoded + error).to(value.dtype)  # nothing of what flows is asked for
        code = encode(dictionary, read.flatten(0, 1))
        own = (write(dictionary, code) + dictionary.b_dec).view_as(decoded)
        exchanged = write(dictionary, self._exchanged(code)).view_as(decoded)
        stays, flipped = (x.repeat_interleave(examples, 0) for x in (self.error[..., None], self.complement))
        flipped = flipped[:, None, None]
        new = torch.where(flipped, own, decoded) + exchanged + torch.where(stays, value - own, error)
        return torch.where(flipped & stays, value + exchanged, new).to(value.dtype)

    def _exchanged(self, code: Sparse) -> Sparse:
        """At each token own code - other code of the units that keep their own; minus that of those that do not."""
        examples, seq = self.other.row.shape
        copy, position = self.picked.row[:, None] // seq, self.picked.row[:, None] % seq
        example = torch.arange(examples, device=copy.device)
        token, unit = (copy * examples + example) * seq + position, self.picked.unit[:, None].expand(-1, examples)
        change = code.of(token, unit) - self.other.code.of(self.other.row[example, position], unit)
        change = torch.where(self.complement[copy], -change, change)
        return Sparse.summed((token * code.units + unit).flatten(), change.flatten(), code.rows, code.units)


def otherwise(
    dictionary: Learned, site: Site, tokens: Int[Tensor, "example seq"], mean: MeanStates | None, other: Trace | None
) -> Otherwise:
    """The state that nodes of some prompts take: that of a mean or of another run, or nothing at all."""
    shape = (*tokens.shape, dictionary.d_out)
    if mean is not None:
        code, row = mean.by_place(site, tokens), mean.means.places(tokens)
        decoded = (write(dictionary, code) + dictionary.b_dec)[row]
        return Otherwise(code, row, decoded, mean.error(site, tokens).expand(shape))
    if other is not None:
        there, row = fires(other, site), torch.arange(tokens.numel(), device=tokens.device).view(tokens.shape)
        return Otherwise(there.code, row, (write(dictionary, there.code) + dictionary.b_dec).view(shape), there.error)
    nothing = Sparse(tokens.new_zeros(0), dictionary.b_dec.new_zeros(0), 1, dictionary.n_units)
    return Otherwise(
        nothing, torch.zeros_like(tokens), dictionary.b_dec.expand(shape), dictionary.b_dec.new_zeros(shape)
    )


def exchange(
    site: Site,
    kept: Sequence[tuple[Circuit | None, bool]],
    errors: Literal["nodes", "keep", "remove"],
    dictionary: Learned,
    other: Otherwise,
) -> Exchange:
    """All that is not kept at a site takes its other state.

    Args: kept: for each copy of the prompts a circuit (None: an empty one), and whether the rest is kept instead of it.
    """
    length, units, device = other.row.shape[1], dictionary.n_units, other.row.device
    keys, stays = list[np.ndarray](), np.full((len(kept), length), errors == "keep")
    for copy, (circuit, complement) in enumerate(kept):
        position, unit = _nodes(circuit, site, length)
        keys.append((copy * length + position[unit != ERROR]) * units + unit[unit != ERROR])
        if errors == "nodes":
            stays[copy, position[unit == ERROR]] = True
            stays[copy] ^= complement
    key = torch.from_numpy(np.unique(np.concatenate(keys))).to(device)
    return Exchange(
        site,
        picked=Sparse(key, torch.ones_like(key, dtype=torch.float32), len(kept) * length, units),
        complement=torch.tensor([complement for _, complement in kept], device=device),
        error=torch.from_numpy(stays).to(device),
        other=other,
    )


def _nodes(circuit: Circuit | None, site: Site, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Position and unit of every node that a circuit has at a site; one of all positions stands at each."""
    if circuit is None or site not in circuit.sites:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    here = np.flatnonzero(circuit.site == circuit.sites.index(site))
    position, unit = circuit.position[here], circuit.unit[here]
    every = unit[position == ANYWHERE]
    anywhere = np.tile(np.arange(length), len(every)), np.repeat(every, length)
    placed = position[position != ANYWHERE], unit[position != ANYWHERE]
    return np.concatenate([anywhere[0], placed[0]]), np.concatenate([anywhere[1], placed[1]])
