"""What a block writes: outputs of its modules that make its output of its input, added in the model's own dtype.

One, two or three of them, as they are or each times a number; the fewest that do, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations, permutations, product
from operator import add

import torch
from torch import Tensor

from clew.models.inference._seen import Call, Seen, same

MOST = 3
"""Writes of a block, at most."""
SAMPLE = 96
"""Numbers of the stream by which what cannot be it is left out first."""


@dataclass(frozen=True, eq=False)
class Sum:
    """One way to add up a block's output."""

    paths: tuple[str, ...]
    """Below the block, of who gives each write first, in the order in which they are added."""
    factors: tuple[float, ...]
    streams: tuple[Tensor | None, ...]
    """The stream before the first, after it, after the second, and so on; None where two are added before they join."""
    norms: tuple[str, ...] = ()
    """Where the stream goes through a norm after each write, the modules that are these."""


def sums_of(seen: Seen, block: Call) -> list[Sum]:
    """Every order in which the same fewest writes add up. Raises: ValueError saying what the block does instead."""
    values = _values(seen, block)
    for scaled in (False, True):
        for n in range(1, MOST + 1):
            found = [s for paths in combinations(values, n) for s in _sums(block, values, paths, scaled)]
            if len(written := {frozenset(s.paths) for s in found}) > 1:
                some = "; ".join(" and ".join(sorted(w)) for w in sorted(written, key=sorted)[:3])
                raise ValueError(f"{len(written)} sets of modules would explain the output of {block.path} ({some})")
            if found:
                _check_zeros(seen, block, found[0].paths)
                _check_twins(seen, block, found[0].paths)
                return found
    _check_zeros(seen, block)
    if through := _normed(seen, block, values):
        return [through]
    raise ValueError(f"the output of {block.path} is not its input plus what one to {MOST} of its modules give")


def _normed(seen: Seen, block: Call, values: dict[str, Tensor]) -> Sum | None:
    """The writes of a block whose stream goes through a norm after each of them."""
    x, paths, norms, streams = block.x, list[str](), list[str](), list[Tensor | None]([block.x])
    leaves = [c for c in seen.within(block.path) if not c.linear and next(c.module.children(), None) is None]
    while x is not None and len(paths) < MOST and not same(x, block.y):
        sums = {path: x + y for path, y in values.items()}
        found = next(((c, path) for c in leaves for path, total in sums.items() if same(c.x, total)), None)
        if found is None:
            return None
        norm, path = found
        x = norm.y
        paths.append(path)
        norms.append(norm.path.removeprefix(f"{block.path}."))
        streams.append(x)
    return Sum(tuple(paths), (1.0,) * len(paths), tuple(streams), tuple(norms)) if same(x, block.y) and paths else None


def _check_zeros(seen: Seen, block: Call, written: Sequence[str] = ()) -> None:
    """Raises: ValueError where a module right in the block that gives no write, nor holds what does, gives zeros."""
    doors = {path.partition(".")[0] for path in written}
    for call in seen.within(block.path):
        path = call.path.removeprefix(f"{block.path}.")
        of_the_stream = call.y is not None and block.x is not None and call.y.shape == block.x.shape
        if of_the_stream and path.partition(".")[0] not in doors and not bool(call.y.any()):  # pyright: ignore[reportOptionalMemberAccess]
            raise ValueError(
                f"{call.path} gives nothing but zeros, so what it is for cannot be seen; give it weights first"
            )


def _check_twins(seen: Seen, block: Call, written: Sequence[str]) -> None:
    """Raises: ValueError where another module makes the same as one that writes: both may join the stream."""
    for first in filter(None, (seen.call(f"{block.path}.{path}") for path in written)):
        for call in seen.within(block.path):
            one, other = f"{first.path}.", f"{call.path}."
            apart = not one.startswith(other) and not other.startswith(one)
            if apart and same(call.y, first.y) and not same(call.x, first.y):
                raise ValueError(f"{one[:-1]} and {other[:-1]} give the same, so which of them writes cannot be told")


def _values(seen: Seen, block: Call) -> dict[str, Tensor]:
    """The different values that modules of a block give in the shape of the stream, by who gave them first."""
    found: dict[str, Tensor] = {}
    for call in seen.within(block.path):
        if call.y is None or block.x is None or call.y.shape != block.x.shape or not bool(call.y.any()):
            continue
        if not any(same(call.y, other) for other in found.values()):
            found[call.path.removeprefix(f"{block.path}.")] = call.y
    return found


def _sums(block: Call, values: dict[str, Tensor], paths: Sequence[str], scaled: bool) -> Iterator[Sum]:
    x, out = block.x, block.y
    assert x is not None and out is not None
    every = max(1, x.numel() // SAMPLE)
    some = [t.reshape(-1)[::every].double() for t in (out, x, *(values[p] for p in paths))]
    basis, rest = torch.stack(some[2:], 1), some[0] - some[1]
    size = float(torch.stack(some).abs().max())
    loose = {torch.float64: 1e-9, torch.float32: 1e-4}.get(x.dtype, 5e-2) * size
    if not scaled:
        near = float((basis.sum(1) - rest).abs().max()) <= loose
        tried = iter([(1.0,) * len(paths)] if near else [])
    else:
        whole = torch.stack([values[p].reshape(-1).double() for p in paths], 1)
        factors = torch.linalg.lstsq(basis, rest[:, None]).solution
        if float((basis @ factors - rest[:, None]).abs().max()) > loose:
            return
        factors = torch.linalg.lstsq(whole, (out.double() - x.double()).reshape(-1, 1)).solution[:, 0]
        tried = _tries(factors.tolist(), x.dtype)
    for factors in tried:
        found = list(_orders(x, out, {p: (values[p], f) for p, f in zip(paths, factors, strict=True)}))
        yield from found
        if found:
            return


def _orders(x: Tensor, out: Tensor, written: dict[str, tuple[Tensor, float]]) -> Iterator[Sum]:
    for paths in permutations(written):
        for streams in _folds(x, [written[p] for p in paths]):
            last = streams[-1]
            if last is not None and torch.equal(last, out):
                yield Sum(paths, tuple(written[p][1] for p in paths), streams)


def _folds(x: Tensor, writes: Sequence[tuple[Tensor, float]]) -> Iterator[tuple[Tensor | None, ...]]:
    """The ways to add writes to the stream in this order: one by one, or the first, or the last, few joined before."""
    if not writes:
        yield (x,)
        return
    for n in range(1, len(writes) + 1):
        for joined in _joined(writes[:n]):
            for streams in _folds(x + joined, writes[n:]):
                yield (x, *[None] * (n - 1), *streams)


def _joined(writes: Sequence[tuple[Tensor, float]]) -> Iterator[Tensor]:
    """The ways to add up writes: each times its factor, or where they share one, that times their sum."""
    yield reduce(add, [write if factor == 1 else write * factor for write, factor in writes])
    factors = {factor for _, factor in writes}
    if len(writes) > 1 and len(factors) == 1 and factors != {1.0}:
        yield reduce(add, [write for write, _ in writes]) * factors.pop()


def _tries(measured: Sequence[float], dtype: torch.dtype) -> Iterator[tuple[float, ...]]:
    """The factors that may be meant by what was measured: one for all first, short numbers before their neighbours."""
    if not all(math.isfinite(f) and f for f in measured):
        return
    close = {torch.float64: 1e-9, torch.float32: 1e-5}.get(dtype, 1e-2)
    mean = sum(measured) / len(measured)
    if len(measured) > 1 and all(abs(f / mean - 1) <= 2 * close for f in measured):
        yield from ((f,) * len(measured) for f in _near(mean, close, dtype, steps=64))
    yield from product(*(_near(f, close, dtype, steps=4) for f in measured))


def _near(factor: float, close: float, dtype: torch.dtype, steps: int) -> Iterator[float]:
    short = dict.fromkeys(float(f"{factor:.{digits}g}") for digits in range(1, 8))
    yield from (f for f in short if abs(f / factor - 1) <= close)
    step = {torch.float64: 2.0**-53, torch.float32: 2.0**-24}.get(dtype, 2.0**-15) * abs(factor)
    yield factor
    for i in range(1, steps + 1):
        yield factor + i * step
        yield factor - i * step
