"""Units that are near another: by what they write (the cosine of decoder rows), and by where they fire (Jaccard's index).

Both are exact, and both are worked out for a block of units at a time: nothing of the size units x units is held.
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
VALUES = 1 << 23
"""Cosines, or pairs of firings, at once."""


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
) -> dict[str, np.ndarray]:
    """The units that fire with each of a range most alike: |both| / |either|.

    Args: start, place: the rows of the range, all firings of its units. first: the first of them. counts: of all units.
    Returns: `cofiring` [unit, nearest], -1 where there are no more that ever fire with it, and their `jaccard`.
    """
    n = len(start) - 1
    near, index = np.full((n, NEAREST), -1, np.int32), np.zeros((n, NEAREST), np.float32)
    step = max(1, round(VALUES * twin.tokens / max(1, twin.firings)))
    done = 0
    while done < n:
        end = min(n, max(done + 1, int(np.searchsorted(start, start[done] + step, side="right")) - 1))
        one, other, both = _met(start[done : end + 1], place, twin, len(counts))
        mine = counts[first + done + one]
        other_is = other != first + done + one
        one, other, both, mine = one[other_is], other[other_is], both[other_is], mine[other_is]
        alike = (both / (mine + counts[other] - both)).astype(np.float32)
        by = np.lexsort((other, -alike, one))
        by = by[(at := rank(one[by])) < NEAREST]
        near[done + one[by], at[at < NEAREST]], index[done + one[by], at[at < NEAREST]] = other[by], alike[by]
        done = end
    return {"cofiring": near, "jaccard": index}


def _met(
    start: Int[np.ndarray, " row"], place: Int[np.ndarray, " firing"], twin: Twin, units: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(unit of the block, unit, at how many places both fire), sorted."""
    block, own = place[start[0] : start[-1]], np.repeat(np.arange(len(start) - 1), np.diff(start))
    by = block.argsort(kind="stable")
    owner, unit = twin.partners(block[by])
    key = own[by][owner] * units + unit
    key = key.astype(np.uint32) if (len(start) - 1) * units < 1 << 32 else key
    key.sort()
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1])) if len(key) else np.zeros(0, np.int64)
    met, both = key[first].astype(np.int64), np.diff(np.append(first, len(key)))
    return met // units, met % units, both


def by_decoder(dictionary: Dictionary, first: int, end: int) -> dict[str, np.ndarray]:
    """The units that write most alike: the cosine of their rows of the decoder.

    Returns: `decoder` [unit, nearest] and their `cosine`; nothing of a dictionary of one unit.
    """
    rows = torch.nn.functional.normalize(directions(dictionary).float(), dim=1)
    n = min(NEAREST, len(rows) - 1)
    near, cosine = list[Tensor](), list[Tensor]()
    for some in torch.arange(first, end, device=rows.device).split(max(1, VALUES // len(rows))):
        alike = rows[some] @ rows.T
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
