"""The parts of a block: which linear map gives what each writes, what each reads, and whether an attention ran in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from torch import Tensor

from clew.models.experts import count
from clew.models.inference._attended import Attended
from clew.models.inference._seen import Call, Seen, giving, same
from clew.models.inference._writes import Sum


@dataclass(frozen=True, eq=False)
class Found:
    """A part of a block, as far as it is known."""

    block: Call
    write: Call
    """Who gives first what joins the stream."""
    factor: float
    maker: Call
    """Who gives it, but for a norm after it."""
    attended: tuple[Attended, ...]
    """The attention that ran in it."""
    norm_after: str
    """The norm in the stream after it."""

    @property
    def projection(self) -> Call | None:
        """The linear map that gives it, but for a norm after it."""
        return self.maker if self.maker.linear else None


@dataclass(frozen=True)
class Place:
    """Where a part is: paths below the block."""

    reads: str
    """The module whose input is what the part reads."""
    write: str
    """The module whose output joins the stream."""
    norm: str
    """The norm between the stream and `reads`; empty where there is none."""


def below(block: Call, call: Call) -> str:
    return call.path.removeprefix(f"{block.path}.")


def parts_of(seen: Seen, block: Call, sum: Sum) -> list[Found]:
    """The parts that add up to a block's output, in that order.

    An attention is of the part whose write is given nearest to it in the tree of modules.

    Raises: ValueError where two parts are as near to one.
    """
    writes = [call for path in sum.paths if (call := seen.call(f"{block.path}.{path}")) is not None]
    makers = [maker_of(seen, block, write) for write in writes]
    inside = {id(c.module): c for c in seen.within(block.path)}
    ran: list[list[Attended]] = [[] for _ in writes]
    for attended in seen.attended:
        if (owner := inside.get(id(attended.owner))) is None or attended.turn != block.turn:
            continue
        shared = [_shared(below(block, maker), below(block, owner)) for maker in makers]
        if not max(shared):
            continue  # it makes what a part reads, as in Zamba
        if shared.count(max(shared)) > 1:
            raise ValueError(f"which of {' and '.join(sum.paths)} the attention of {block.path} writes cannot be told")
        ran[shared.index(max(shared))].append(attended)
    each = zip(writes, sum.factors, makers, ran, sum.norms or [""] * len(writes), strict=True)
    return [Found(block, write, factor, maker, tuple(a), norm) for write, factor, maker, a, norm in each]


def _shared(a: str, b: str) -> int:
    """How many names two paths begin with in common."""
    pairs = zip(a.split("."), b.split("."), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def maker_of(seen: Seen, block: Call, write: Call) -> Call:
    """Who gave what norms, or other modules without parts, made a write of; the write itself where none did.

    Looks no further than a linear map, or experts.
    """
    inside, call = seen.within(block.path), write
    for _ in range(3):
        if call.linear or count(call.module) or next(call.module.children(), None) is not None:
            break
        before = next(iter(giving((c for c in inside if c is not call), call.x)), None)
        if before is None:
            break
        call = before
    return call


def readers(seen: Seen, part: Found, inner: Sequence[Call], streams: Sequence[Tensor | None]) -> list[Call]:
    """The modules that hold these and are given what the first of them reads, the outermost first.

    Without those that are given the stream and give it: what they read goes on beside the part, too.
    """
    given = [c for c in seen.within(part.block.path) if same(c.x, inner[0].x) and not _is_stream(c, streams)]
    found = [c for c in given if all(i.path.startswith(f"{c.path}.") for i in inner)]
    return sorted(found, key=lambda c: c.path.count("."))


def _is_stream(call: Call, streams: Sequence[Tensor | None]) -> bool:
    return all(any(same(value, stream) for stream in streams) for value in (call.x, call.y))


def around(seen: Seen, block: Call, inner: Call) -> list[Call]:
    """The modules of a block around one of them, the outermost first."""
    path, found = below(block, inner), list[Call]()
    while path := path.rpartition(".")[0]:
        call = seen.call(f"{block.path}.{path}")
        if call is not None:
            found.insert(0, call)
    return found


def place_of(seen: Seen, part: Found, inner: Sequence[Call], streams: Sequence[Tensor | None]) -> Place:
    """Where a part is whose first linear maps are `inner`, which all read the same. Raises: ValueError where they do not."""
    x = inner[0].x
    if not all(same(c.x, x) for c in inner):
        raise ValueError(f"{inner[0].path} and {inner[-1].path} read different things")
    outer = readers(seen, part, inner, streams)
    if not outer and len(inner) > 1:
        raise ValueError(f"no one module is given what {' and '.join(c.path for c in inner)} read")
    return placed(seen, part, outer[0] if outer else inner[0], streams)


def placed(seen: Seen, part: Found, reads: Call, streams: Sequence[Tensor | None]) -> Place:
    """Where a part is that reads what a module is given. Args: streams: what the stream is in the block, here and there."""
    block, x = part.block, reads.x
    giver = reads if same(reads.y, part.write.y) else part.write
    others = (c for c in seen.within(block.path) if not c.linear and c is not reads)
    norm = None if any(same(x, stream) for stream in streams) else next(iter(giving(others, x)), None)
    return Place(below(block, reads), below(block, giver), "" if norm is None else below(block, norm))


def outermost(seen: Seen, part: Found, streams: Sequence[Tensor | None]) -> Call | None:
    """The outermost module of a block, around what gives a write, that is given something of the stream's shape."""
    shape = None if part.block.x is None else part.block.x.shape
    every = [*around(seen, part.block, part.maker), part.maker]
    return next((c for c in every if c.x is not None and c.x.shape == shape and not _is_stream(c, streams)), None)


def first_linear_maps(seen: Seen, part: Found, others: Sequence[Found]) -> list[Call]:
    """The linear maps that a part begins with: all that read what its first one reads.

    They lie in one module with its output projection, or in the block itself beside those of the other parts.
    """
    block, down = part.block, part.projection
    assert down is not None
    theirs = {_door(other) for other in others if other is not part} - {_door(part)}
    linear = [c for c in seen.within(block.path) if c.linear and c is not down]
    inside = [c for c in linear if below(block, c).partition(".")[0] not in theirs]
    room = below(block, down).rpartition(".")[0]
    while room and not any(below(block, c).startswith(f"{room}.") for c in inside):
        room = room.rpartition(".")[0]
    found = [c for c in inside if not room or below(block, c).startswith(f"{room}.")]
    if not found:
        raise ValueError(f"no linear map of {block.path} is before {below(block, down)}")
    return [c for c in found if same(c.x, found[0].x)]


def _door(part: Found) -> str:
    """The module right in the block in which what gives a write lies."""
    return below(part.block, part.projection or part.write).partition(".")[0]


def enters(seen: Seen, block: Call, place: Place) -> Tensor | None:
    """What a part reads of the stream, before the norm if there is one."""
    reads = seen.call(f"{block.path}.{place.reads}")
    norm = seen.call(f"{block.path}.{place.norm}") if place.norm else None
    if norm is None:
        return None if reads is None else reads.x
    return norm.x if reads is not None and same(norm.y, reads.x) else None
