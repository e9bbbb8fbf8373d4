"""Queries, keys and values: which columns of which linear maps they are.

Seen on prompts of one token, where rotation by position is the identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clew.models.inference._attended import Attended
from clew.models.inference._parts import below
from clew.models.inference._proof import far
from clew.models.inference._seen import Call, Seen
from clew.models.layout import Map


@dataclass(frozen=True)
class Projections:
    """The linear maps of a block's attention, as far as they are found."""

    maps: Mapping[str, Map]
    """Of `q`, `k` and `v`; paths below the block."""
    missing: Mapping[str, str]
    """Of those that are not found, why."""
    heads: tuple[int, int]
    """Query heads, and key-value heads."""

    @classmethod
    def of(
        cls, short: Seen, block: Call, output: Call | None, owner: nn.Module, known: Projections | None = None
    ) -> Projections:
        """Found in one block for the attention of a module, where they are as in a `known` one before by its maps."""
        given, maps, norms = _inside(short, block, "" if output is None else output.path, owner)
        received = given.query, given.key, given.value
        if known is not None and known.heads[0] == given.query.shape[1] and known._give(short, block, received, norms):
            return known
        found: dict[str, tuple[Call, Tensor]] = {}
        missing: dict[str, str] = {}
        for part, name, what in zip("qkv", PARTS, received, strict=True):
            try:
                found[part] = source(what, maps, norms)
            except ValueError as error:
                missing[part] = f"the {name} of {block.path} {error}"
        widths = zip("qkv", (x.shape[-1] for x in received), strict=True)
        whole = all(_is_whole(*found[part], width) for part, width in widths if part in found)
        n_kv = next((len(found[p][1]) // x.shape[-1] for p, x in zip("kv", received[1:], strict=True) if p in found), 0)
        paths = {
            part: Map(below(block, call), None if whole else tuple(columns.tolist()))
            for part, (call, columns) in found.items()
        }
        return cls(paths, missing, (given.query.shape[1], n_kv or given.key.shape[1]))

    def _give(self, short: Seen, block: Call, received: Sequence[Tensor], norms: Sequence[Call]) -> bool:
        """Whether these are the maps of this block, too."""
        pairs = zip("qkv", received, strict=True)
        return not self.missing and all(
            gives(short.call(f"{block.path}.{self.maps[part].path}"), self.maps[part].columns, what, norms)
            for part, what in pairs
        )


def _inside(short: Seen, block: Call, output: str, owner: nn.Module) -> tuple[Attended, list[Call], list[Call]]:
    """What the attention was given, the linear maps of its block but for `output`, and all modules that have no parts.

    Raises: ValueError where no attention ran, or more than one.
    """
    calls = short.within(block.path)
    given = [a for a in short.attended if a.owner is owner and a.turn == block.turn]
    if len(given) != 1:
        raise ValueError(f"attention ran {len(given)} times in {block.path} on prompts of one token")
    maps = [c for c in calls if c.linear and c.y is not None and c.path != output]
    leaves = [c for c in reversed(calls) if not c.linear and next(c.module.children(), None) is None]
    return given[0], maps, leaves


PARTS = ("queries", "keys", "values")
CLOSE = {torch.float64: 1e-9, torch.float32: 1e-5}
"""How far from 1 the cosine of two equal columns may be."""


def source(received: Tensor, maps: Sequence[Call], norms: Sequence[Call]) -> tuple[Call, Tensor]:
    """(linear map, its columns) that give what the attention received, [prompt, head, 1, d_head].

    A head that several query heads share counts once. Raises: ValueError where a column is that of no map, or of several.
    """
    flat = before_norms(received, norms)
    best, where = 0, "none gives one of their columns"
    for call in maps:
        assert call.y is not None
        hits = _alike(flat, call.y.reshape(len(flat), -1))
        if bool((hits.sum(1) == 1).all()):
            return call, _each_once(hits.to(torch.int8).argmax(1).cpu(), received.shape[1])
        if (some := int((hits.sum(1) == 1).sum())) > best:
            best, where = some, f"{some} of {flat.shape[1]} columns are those of {call.path}"
    raise ValueError(f"come from no one linear map ({where})")


def before_norms(received: Tensor, norms: Iterable[Call]) -> Tensor:
    """What the attention received, [prompt, column], before norms on the way, over the width of a head or of all."""
    flat = received.transpose(1, 2).flatten(1)
    for norm in norms:
        if norm.x is not None and norm.y is not None and norm.y.numel() == flat.numel() and _parallel(norm.y, flat):
            flat = norm.x.reshape(len(flat), -1)
    return flat


def gives(call: Call | None, columns: Sequence[int] | None, received: Tensor, norms: Iterable[Call]) -> bool:
    """Whether these columns of a linear map are what the attention received, but for one factor."""
    if call is None or call.y is None:
        return False
    columns = range(call.y.shape[-1]) if columns is None else columns
    if len(columns) % received.shape[-1]:
        return False
    flat, heads = before_norms(received, norms), received.shape[1]
    given = call.y.reshape(len(flat), -1)[:, list(columns)].unflatten(1, (-1, received.shape[-1]))
    given = given.repeat_interleave(heads // given.shape[1], 1).flatten(1)
    factor = (given.double() * flat.double()).sum() / given.double().square().sum().clamp(min=1e-300)
    return float(factor) > 0 and not far((given * factor).to(flat.dtype), flat)


def _parallel(a: Tensor, b: Tensor) -> bool:
    """Whether one is the other times a number."""
    a, b = a.reshape(-1).double(), b.reshape(-1).double()
    return bool(a.any()) and float(torch.cosine_similarity(a, b, 0)) >= 1 - 1e-5


def _alike(a: Tensor, b: Tensor) -> Tensor:
    """[column of a, column of b]: which are the same but for a positive factor."""
    unit_a, unit_b = (torch.nn.functional.normalize(t.double(), dim=0) for t in (a, b))
    hits = unit_a.T @ unit_b >= 1 - CLOSE.get(a.dtype, 1e-3)
    for i in (hits.sum(1) > 1).nonzero()[:, 0]:  # in half precision some columns are much alike
        equal = hits[i] & (a[:, i, None] == b).all(0)
        hits[i] = equal if bool(equal.any()) else hits[i]
    return hits


def _each_once(columns: Tensor, n_heads: int) -> Tensor:
    """The columns of each key-value head once, where query heads that share one were given a copy each."""
    heads = columns.view(n_heads, -1)
    kept = [i for i in range(n_heads) if i == 0 or not torch.equal(heads[i], heads[i - 1])]
    if n_heads % len(kept) or not torch.equal(heads[kept].repeat_interleave(n_heads // len(kept), 0), heads):
        raise ValueError("are shared by heads that do not lie side by side")
    once = heads[kept].reshape(-1)
    if len(once.unique()) < len(once):
        raise ValueError("are shared by heads that do not lie side by side")
    return once


def _is_whole(call: Call, columns: Tensor, d_head: int) -> bool:
    return call.y is not None and in_order(columns, call.y.shape[-1], d_head)


def in_order(columns: Tensor, width: int, d_head: int) -> bool:
    """Whether these are all columns of a map, head by head; within a head a rotation may have put them in its own order."""
    return len(columns) == width and torch.equal(
        columns.view(-1, d_head).sort(1).values.reshape(-1), torch.arange(width)
    )
