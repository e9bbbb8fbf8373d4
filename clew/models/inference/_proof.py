"""Whether the parts of a block read nothing of the stream but what they are said to, and whether they mix positions.

Two prompts are run as one batch. What each part is given is exchanged between them, at all positions or at the first only;
what it then writes must be what it wrote for the other prompt, there and nowhere else. The writes of the first run are put
in place of these, so that no block feels what was exchanged in another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from clew.models.inference._seen import Call, Seen, look_again, run
from clew.models.layout import Part
from clew.models.state import Held, in_state
from clew.models.taps import Tap

LOOSE = {torch.float64: 1e-6, torch.float32: 1e-4}
"""How far apart two values may be, relative to the largest, that are the same but for the order in which a kernel adds.

Some families compute parts in float32 whatever the dtype.
"""


def far(a: Tensor, b: Tensor) -> bool:
    """Whether two values differ by more than the order of additions may."""
    gap, size = (a - b).abs().max(), b.abs().max().clamp(min=1e-30)
    return not bool(gap <= LOOSE.get(a.dtype, 5e-2) * size)


class Trial(NamedTuple):
    """A part of a block whose input is exchanged, by these taps, and what it writes."""

    taps: tuple[Tap, ...]
    write: Call


Swap = Callable[[Tensor], Tensor]
Follows = Literal["yes", "elsewhere", "no"]
"""What a part writes is exchanged as what it reads is; or it changes at positions that were not exchanged; or neither."""


def exchanged(seen: Seen, trials: Sequence[Trial], swap: Swap) -> list[Follows]:
    """What becomes of what each part writes when what it reads is exchanged.

    In the first pass all are, in each further one those whose number has a certain digit in base two: so of any two parts one
    is exchanged without the other, and what a part has from another shows.
    """
    found: list[Follows] = []
    for digit in range(-1, (len(trials) - 1).bit_length()):
        chosen = [digit < 0 or bool(i >> digit & 1) for i in range(len(trials))]
        now = _exchanged(seen, trials, chosen, swap)
        found = [
            was if one == "yes" else one if was == "yes" else was for was, one in zip(found or now, now, strict=True)
        ]
    return found


def _exchanged(seen: Seen, trials: Sequence[Trial], chosen: Sequence[bool], swap: Swap) -> list[Follows]:
    written: dict[str, Tensor] = {}
    held_to = [swap if one else _same for one in chosen]

    def work(held: Held) -> None:
        for trial, swapped in zip(trials, held_to, strict=True):
            assert trial.write.y is not None
            for tap in trial.taps:
                tap.attach(held, swapped, len(seen.tokens))
            keep = partial(kept, written, trial.write.path, trial.write.y)
            Tap(trial.write.module, "out", turn=trial.write.turn).attach(held, keep, len(seen.tokens))
        run(seen.module, seen.tokens)

    in_state(seen.module, work)
    pairs = zip(trials, held_to, strict=True)
    return [_follows(written.get(trial.write.path), trial.write.y, swapped) for trial, swapped in pairs]


def _follows(written: Tensor | None, own: Tensor | None, swap: Swap) -> Follows:
    if written is None or own is None:
        return "no"
    if not far(written, swap(own)):
        return "yes"
    still = (swap(own) == own).flatten(2).all(2).all(0)
    return "elsewhere" if bool(still.any()) and far(written[:, still], own[:, still]) else "no"


def heads_apart(seen: Seen, blocks: Sequence[tuple[Call, Part]]) -> list[bool]:
    """Of each attention, whether the first head's values, and its queries, change what its projection reads of it alone."""
    by_values = _moved(seen, blocks, "v")
    by_queries = _moved(seen, blocks, "q")
    return [
        _first_of(part.heads[1], values) and (part.heads[0] == part.heads[1] > 1 or _first_of(part.heads[0], queries))
        for (_, part), values, queries in zip(blocks, by_values, by_queries, strict=True)
    ]


def _moved(seen: Seen, blocks: Sequence[tuple[Call, Part]], name: str) -> list[Tensor | None]:
    """[column] of what each projection reads: whether it moved when the first head's part of a map was exchanged."""
    read: dict[str, Tensor] = {}
    outputs = [seen.call(f"{block.path}.{part.projection}") for block, part in blocks]

    def work(held: Held) -> None:
        for (block, part), output in zip(blocks, outputs, strict=True):
            call = seen.call(f"{block.path}.{part.maps[name].path}") if name in part.maps else None
            if call is None or call.y is None or output is None or output.x is None:
                continue
            columns = part.maps[name].columns
            every = torch.arange(call.y.shape[-1]) if columns is None else torch.tensor(columns)
            n = part.heads[0] if name == "q" else part.heads[1]
            first = Tap(call.module, "out", every[: len(every) // n], turn=call.turn)
            first.attach(held, swap_all, len(seen.tokens))
            Tap(output.module, "in", turn=output.turn).attach(
                held, partial(kept, read, output.path, output.x), len(seen.tokens)
            )
        run(seen.module, seen.tokens)

    in_state(seen.module, work)
    return [
        (read[o.path] != o.x).flatten(0, 1).any(0) if o is not None and o.x is not None and o.path in read else None
        for o in outputs
    ]


def _first_of(n: int, moved: Tensor | None) -> bool:
    """Whether the first of so many runs of columns moved, and no other."""
    if moved is None:
        return False
    own = len(moved) // n
    return bool(moved[:own].any()) and not bool(moved[own:].any())


def is_causal(seen: Seen, last: Call) -> bool:
    """Whether what the last block, and the model, give at a position does not depend on the tokens after it."""
    if seen.tokens.is_floating_point():
        return False
    tokens = seen.tokens.clone()
    tokens[:, -1] = tokens[:, -1].flip(0)
    now = look_again(seen.module, tokens, seen.interface, seen.repeats)
    pairs = [(now.logits, seen.logits)] if seen.logits.ndim == 3 else []
    if (again := now.call(last.path)) is not None and again.y is not None and last.y is not None:
        pairs.append((again.y, last.y))
    return bool(pairs) and not any(far(a[:, :-1], b[:, :-1]) for a, b in pairs)


def _same(x: Tensor) -> Tensor:
    return x


def swap_all(x: Tensor) -> Tensor:
    """All positions exchanged between the two prompts."""
    return x.flip(0)


def swap_first(x: Tensor) -> Tensor:
    """The first position exchanged between the two prompts."""
    return torch.cat([x[:, :1].flip(0), x[:, 1:]], 1)


def kept(written: dict[str, Tensor], path: str, own: Tensor, x: Tensor) -> Tensor:
    """Notes what flows, and lets `own` flow on in its place."""
    written[path] = x.detach().to(own.device, copy=True)
    return own.to(x.device, copy=True)  # the block may add to it in place
