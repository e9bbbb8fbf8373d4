"""Gates of heads: outputs of a linear map that, through a function, multiply what an attention mixes, as in Qwen3-Next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from clew.models.attention import GATES, gated
from clew.models.inference._parts import Found, below
from clew.models.inference._proof import far
from clew.models.inference._seen import Call, Seen, same
from clew.models.layout import Map


def gate_of(seen: Seen, found: Found, maps: Mapping[str, Map], heads: int) -> tuple[Map, str] | None:
    """What makes the gate between an attention and its output projection, and the function that it goes through.

    It is all that a linear map gives but for queries, keys and values: a number for each of the mix, or for each head.
    """
    output, mix = found.projection, found.attended[0].mix
    if output is None or output.x is None or output.x.shape != mix.shape or same(output.x, mix) or not bool(mix.any()):
        return None
    for call, columns in _rests(seen, found, output, maps):
        value = _of(call, columns)
        if value is None or value.shape[:-1] != mix.shape[:-1] or value.shape[-1] not in (heads, mix.shape[-1]):
            continue
        if name := next((name for name in GATES if not far(gated(mix, value, name), output.x)), None):
            return Map(below(found.block, call), columns), name
    return None


def _rests(
    seen: Seen, found: Found, output: Call, maps: Mapping[str, Map]
) -> Iterator[tuple[Call, tuple[int, ...] | None]]:
    """Linear maps of a block, and which of their outputs are no queries, keys or values; None for all."""
    for call in seen.within(found.block.path):
        taken = [map.columns for map in maps.values() if map.path == below(found.block, call)]
        if not call.linear or call is output or call.y is None or None in taken:
            continue
        used = {i for columns in taken if columns is not None for i in columns}
        yield call, tuple(i for i in range(call.y.shape[-1]) if i not in used) if used else None


def _of(call: Call, columns: tuple[int, ...] | None) -> Tensor | None:
    if call.y is None or columns is None:
        return call.y
    return call.y[..., torch.tensor(columns, dtype=torch.long, device=call.y.device)]
