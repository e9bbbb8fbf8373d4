"""Units that are near another: by what they write (the cosine of decoder rows), and by where they fire (Jaccard's index).

Both are exact where all firings are known, and both are worked out for a block of units at a time: nothing of the size
units x units is held.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from clew.dictionaries import Dictionary
from clew.dictionaries.dictionary import Learned
from clew.readings.index._firings import Firings, rank

NEAREST = 10
"""How many of each are kept."""
VALUES, PAIRS = 1 << 23, 1 << 20
"""Cosines, and pairs of firings, at once."""
CELLS, CROWDED = 1 << 21, 8
"""Of a table of pairs of units at once; it is made where it has at most so many cells for a pair of firings."""
Met = Int[np.ndarray, " pair"]
Counts = Int[np.ndarray, "..."]
Shares = Float[np.ndarray, "..."]


class Twin:
    """All chunks of a site, asked for the units that fire at some places."""

    def __init__(self, chunks: Sequence[tuple[int, Firings]]) -> None:
        self._chunks = [firings for _, firings in chunks]
        self._first = np.array([first for first, _ in chunks], np.int64)
        self.firings = sum(len(firings.unit) for firings in self._chunks)
        self.tokens = sum(len(firings.start) - 1 for firings in self._chunks)

    def partners(
        self, place: Int[np.ndarray, " firing"]
    ) -> tuple[Int[np.ndarray, " pair"], Shaped[np.ndarray, " pair"]]:
        """(which of the places, a unit that fires there) of every such pair. Args: place: ascending."""
        owners, units = list[np.ndarray](), list[np.ndarray]()
        cuts = np.append(np.searchsorted(place, self._first), len(place))
        for number in np.flatnonzero(np.diff(cuts)):
            chunk, (a, b) = self._chunks[number], cuts[number : number + 2]
            local = place[a:b] - self._first[number]
            start, count = chunk.start[local].astype(np.int64), np.diff(chunk.start)[local]
            owner = np.repeat(np.arange(b - a), count)
            offset = np.arange(len(owner)) - np.repeat(count.cumsum() - count, count)
            owners.append(owner + a)
            units.append(chunk.unit[start[owner] + offset])
        return np.concatenate([np.zeros(0, np.int64), *owners]), np.concatenate([np.zeros(0, np.uint16), *units])


def by_cofiring(
    start: Int[np.ndarray, " row"],
    place: Int[np.ndarray, " firing"],
    first: int,
    twin: Twin,
    counts: Int[np.ndarray, " unit"],
    share: Float[np.ndarray, " unit"] | None = None,
) -> dict[str, np.ndarray]:
    """The units that fire with each of a range most alike: |both| / |either|.

    Args: start, place: the rows of the range, all firings of its units. first: the first of them. counts: of all units.
        share: which share of the firings of each unit is there, where not all are: those at places that drew numbers below
        some bound. Of two units what is below the lower bound is known of both, and stands for the rest.
    Returns: `cofiring` [unit, nearest], -1 where there are no more that ever fire with it, and their `jaccard`.
    """
    n, units, share = len(start) - 1, len(counts), np.ones(len(counts)) if share is None else share
    near, index = np.full((n, NEAREST), -1, np.int32), np.zeros((n, NEAREST), np.float32)
    pairs = twin.firings**2 / max(1, twin.tokens)
    crowded = pairs * CROWDED > units**2
    step, most = max(1, round(PAIRS * twin.firings / max(1.0, pairs))), max(1, CELLS // units) if crowded else n
    done = 0
    while done < n:
        end = min(n, done + most, max(done + 1, int(np.searchsorted(start, start[done] + step, side="right")) - 1))
        key = _met(start[done : end + 1], place, twin, units)
        mine = np.arange(first + done, first + end)
        found = _of_table(key, mine, counts, share) if crowded else _of_list(key, mine, counts, share)
        near[done:end], index[done:end] = found
        done = end
    return {"cofiring": near, "jaccard": index}


def _met(start: Int[np.ndarray, " row"], place: Int[np.ndarray, " firing"], twin: Twin, units: int) -> Met:
    """For every pair of a firing of a block of rows and one at the same place: row x units + the other's unit."""
    block, own = place[start[0] : start[-1]], np.repeat(np.arange(len(start) - 1), np.diff(start))
    by = block.argsort(kind="stable")
    owner, unit = twin.partners(block[by])
    return own[by][owner] * units + unit


def _of_table(key: Met, mine: Int[np.ndarray, " row"], counts: Counts, share: Shares) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of each unit of a block and how near, by a table of the block and all units."""
    units = len(counts)
    both = np.bincount(key, minlength=len(mine) * units).reshape(len(mine), units)
    both[np.arange(len(mine)), mine] = 0
    alike = _jaccard(both, counts[mine][:, None], counts, share[mine][:, None], share)
    packed = alike.view(np.int32).astype(np.int64) << 32 | (units - np.arange(units))  # equals: the first unit
    found = torch.from_numpy(packed).topk(min(NEAREST, units), dim=1).values.numpy()
    index = (found >> 32).astype(np.int32).view(np.float32)
    near = np.where(index > 0, units - (found & 0xFFFFFFFF), -1).astype(np.int32)
    pad = ((0, 0), (0, NEAREST - near.shape[1]))
    return np.pad(near, pad, constant_values=-1), np.pad(index, pad)


def _of_list(key: Met, mine: Int[np.ndarray, " row"], counts: Counts, share: Shares) -> tuple[np.ndarray, np.ndarray]:
    """The same by a sorted list of the pairs, where most units never meet."""
    units = len(counts)
    near, index = np.full((len(mine), NEAREST), -1, np.int32), np.zeros((len(mine), NEAREST), np.float32)
    key = key.astype(np.uint32) if len(mine) * units < 1 << 32 else key
    key.sort()
    change = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if len(key) else np.zeros(0, np.int64)
    (row, other), both = np.divmod(key[change].astype(np.int64), units), np.diff(np.append(change, len(key)))
    others = other != mine[row]
    row, other, both = row[others], other[others], both[others]
    own = mine[row]
    alike = _jaccard(both, counts[own], counts[other], share[own], share[other])
    by = np.lexsort((other, -alike, row))
    at = rank(row[by])
    by, at = by[at < NEAREST], at[at < NEAREST]
    near[row[by], at], index[row[by], at] = other[by], alike[by]
    return near, index


def _jaccard(both: Counts, one: Counts, other: Counts, part: Shares, of: Shares) -> Float[np.ndarray, "..."]:
    """|both| / |either|. Args: part, of: which share of the firings of one, and of the other, is there."""
    all = np.minimum(both / np.minimum(part, of), np.minimum(one, other))
    return (all / np.maximum(one + other - all, 1)).astype(np.float32)


def by_decoder(dictionary: Dictionary, first: int, end: int) -> dict[str, np.ndarray]:
    """The units that write most alike: the cosine of their rows of the decoder.

    Returns: `decoder` [unit, nearest] and their `cosine`; nothing of a dictionary of one unit.
    """
    rows = directions(dictionary).float()
    size = rows.norm(dim=1).clamp(min=1e-12)
    n = min(NEAREST, len(rows) - 1)
    near, cosine = list[Tensor](), list[Tensor]()
    for some in torch.arange(first, end, device=rows.device).split(max(1, VALUES // len(rows))):
        alike = (rows[some] / size[some, None]) @ rows.T
        alike /= size
        alike[torch.arange(len(some)), some] = -2
        found = alike.topk(n, dim=1)
        near.append(found.indices.int().cpu())
        cosine.append(found.values.cpu())
    pad = (0, NEAREST - n)
    padded = torch.nn.functional.pad(torch.cat(near), pad, value=-1), torch.nn.functional.pad(torch.cat(cosine), pad)
    return {"decoder": padded[0].numpy(), "cosine": padded[1].numpy()}


def directions(dictionary: Dictionary) -> Float[Tensor, "unit d"]:
    """What each unit writes."""
    if isinstance(dictionary, Learned):
        return dictionary.W_dec
    like = next(iter(dictionary.buffers()), torch.zeros(()))
    return dictionary.write(torch.eye(dictionary.n_units, dtype=like.dtype, device=like.device))
