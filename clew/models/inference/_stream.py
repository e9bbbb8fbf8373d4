"""The blocks of a model, a list of modules in which each reads what the one before gave, and what reads the last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from clew.models.inference._seen import Call, Seen, giving, same
from clew.models.inputs import break_in


@dataclass(frozen=True)
class Stream:
    """Where the stream runs: paths in the module."""

    blocks: str
    calls: tuple[Call, ...]
    """Of the blocks, in order."""
    order: tuple[int, ...]
    """Which of the list each is, where some run several times; else empty."""
    inner: str
    """The path below each module of the list of what is the block, where it holds nothing else."""
    norm: str
    """The module that makes what the unembedding reads of the last block's output; empty where it is not one alone."""
    unembed: str
    """Empty where the model has no head."""
    memory: Tensor | None = None
    """Of an encoder, what it hands to the decoder."""


def streams_of(seen: Seen) -> tuple[Stream | None, Stream]:
    """The stream of the encoder, where there is one beside a decoder, and the one that is answered from.

    Raises: as `stream_of`.
    """
    if break_in(seen.tokens) is None:
        return None, stream_of(seen)
    module: Any = seen.module
    paths = {id(part): path for path, part in module.named_modules()}
    encoder, decoder = (paths[id(part)] for part in (module.get_encoder(), module.get_decoder()))
    blocks, calls = _blocks(seen, f"{encoder}.")
    inside = [c for c in seen.within(encoder) if not c.path.startswith(f"{blocks}.") and not c.linear]
    norm = next((c for c in inside if same(c.x, calls[-1].y)), None)
    memory = calls[-1].y if norm is None else norm.y
    own = Stream(blocks, calls, (), "", "" if norm is None else norm.path, "", memory)
    return own, stream_of(seen, f"{decoder}.")


def stream_of(seen: Seen, under: str = "") -> Stream:
    """Raises: ValueError in words where there is no such list, or no linear map that gives the logits."""
    blocks, calls = _blocks(seen, under)
    places = [re.sub(r"#\d+", "", call.path) for call in calls]
    names = [f"{blocks}.{name}" for name, _ in seen.module.get_submodule(blocks).named_children()]
    order = tuple(map(names.index, places)) if seen.repeats else ()
    inner = _inner(seen, calls) if seen.repeats else ""
    calls = tuple(c for call in calls if (c := seen.call(f"{call.path}.{inner}"))) if inner else calls
    outside = [c for c in seen.calls if seen.call(c.path) and not c.path.startswith(f"{blocks}.")]
    if seen.headless:
        return Stream(blocks, calls, order, inner, _last_norm(seen, outside, calls[-1]), "")
    unembed = next(
        (c for c in reversed(outside) if c.linear and c.y is not None and c.y.shape[-1] == seen.logits.shape[-1]), None
    )
    if unembed is None:
        raise ValueError("no linear map after the blocks gives the logits")
    norm = next(iter(giving((c for c in outside if not c.linear), unembed.x)), None)
    if norm is None or not same(norm.x, calls[-1].y):
        return Stream(blocks, calls, order, inner, "", unembed.path)
    return Stream(blocks, calls, order, inner, norm.path, unembed.path)


def _last_norm(seen: Seen, outside: Sequence[Call], last: Call) -> str:
    """The norm that makes a model's last states of its last block's output; empty where they are that output.

    Raises: ValueError where they are neither.
    """
    if same(last.y, seen.logits):
        return ""
    norm = next((c for c in giving(outside, seen.logits) if same(c.x, last.y)), None)
    if norm is None:
        raise ValueError("its last states are neither what its last block gives nor one norm of it")
    return norm.path


def _blocks(seen: Seen, under: str) -> tuple[str, tuple[Call, ...]]:
    inside = ((p, m) for p, m in seen.module.named_modules() if p.startswith(under))
    lists = [(p, m) for p, m in inside if isinstance(m, nn.ModuleList | nn.Sequential) and len(m)]
    apart = ""
    for path, held in sorted(lists, key=lambda item: item[0].count(".")):
        calls = _calls_of(seen, path, held)
        if not all(c is not None and c.x is not None and same_shape(c) for c in calls):
            continue
        chain = tuple(c for c in calls if c is not None)
        gap = next((b for a, b in pairwise(chain) if not same(a.y, b.x)), None)
        if gap is None and _by_position(seen.tokens, chain[0]):
            _check_alone(seen, path, [other for other, _ in lists])
            return path, chain
        if gap is not None and not apart:
            apart = f"; {gap.path} does not read what the module before it gave"
    raise ValueError(f"there is no list of modules in which each reads what the one before it gave{apart}")


def _inner(seen: Seen, calls: Sequence[Call]) -> str:
    """The innermost module that takes what a block takes and gives what it gives, by its path in each of them."""
    first = (c for c in seen.within(calls[0].path) if same(c.x, calls[0].x) and same(c.y, calls[0].y))
    paths = sorted((c.path.removeprefix(f"{calls[0].path}.") for c in first), key=lambda path: -path.count("."))
    pairs = [[(call, seen.call(f"{call.path}.{path}")) for call in calls] for path in paths]
    alike = (all(c is not None and same(c.x, b.x) and same(c.y, b.y) for b, c in some) for some in pairs)
    return next((path for path, whole in zip(paths, alike, strict=True) if whole), "")


def _calls_of(seen: Seen, path: str, held: nn.Module) -> list[Call | None]:
    """The calls of the modules of a list, in their order; in the order of the calls where some are called several times."""
    if not seen.repeats:
        return [seen.call(f"{path}.{name}") for name, _ in held.named_children()]
    return [c for c in seen.calls if re.fullmatch(rf"{re.escape(path)}\.\d+(#\d+)?", c.path)]


def _check_alone(seen: Seen, blocks: str, lists: Sequence[str]) -> None:
    """Raises: ValueError where attention runs in another list of modules, too: the model is more than these blocks."""
    ran = {id(a.owner) for a in seen.attended}
    paths = [p for p, m in seen.module.named_modules() if id(m) in ran and not p.startswith(f"{blocks}.")]
    others = [other for other in lists if not blocks.startswith(f"{other}.")]
    if found := next((o for o in others for p in paths if p.startswith(f"{o}.")), None):
        raise ValueError(f"its blocks are in several lists of modules ({blocks}, {found})")


def _by_position(tokens: Tensor, block: Call) -> bool:
    """Whether a block reads a vector for each position of each prompt."""
    shape = () if block.x is None else block.x.shape
    whole = not tokens.is_floating_point() and break_in(tokens) is None
    return shape[:2] == tokens.shape if whole else shape[:1] == tokens.shape[:1]


def same_shape(call: Call) -> bool:
    """Whether a module gives what has the shape of what it read."""
    return call.x is not None and call.y is not None and call.x.shape == call.y.shape
