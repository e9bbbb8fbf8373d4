"""The layout of a model, read off a few short passes and proved on every block: no config field is looked at.

Blocks are a list of modules in which each reads what the one before gave; what a block writes are the fewest values that
make its output of its input, bit for bit. A part in which an attention ran is one; of the others, those that hand on what is
changed at one position to later ones are mixers, and the rest MLPs. Queries, keys and values are the columns of linear maps
that the attention was given on prompts of one token, where rotation is the identity. What each part reads is proved by
exchanging it between two prompts. What is not found in a part is left out of it, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clew.models.inference._columns import Projections
from clew.models.inference._drafts import Draft, prove, without
from clew.models.inference._parts import Found, parts_of
from clew.models.inference._proof import is_causal
from clew.models.inference._seen import Call, Seen, look, look_again, positions_apart
from clew.models.inference._shared import beside
from clew.models.inference._stream import Stream, streams_of
from clew.models.inference._writes import sums_of
from clew.models.inputs import Inputs, samples, takes_words
from clew.models.layout import KINDS, Answers, Layout, Part
from clew.models.offloaded import runs_on
from clew.models.tokens import BREAK

LENGTH, SINGLE = 9, 32
"""Tokens of each of the two prompts, and how many prompts of one token show the columns."""
WRITTEN = 7
"""How many tokens a decoder has written at most, where there is an encoder, which is given those of a prompt."""


def infer(module: PreTrainedModel, *, seed: int = 0) -> Layout:
    """Where the sites of a model are.

    Costs about five passes over 18 tokens. The module is left as it was.

    Raises: ValueError saying in words what could not be inferred.
    """
    seen, short = _looked(module, seed)
    try:
        encoder, stream = streams_of(seen)
    except ValueError as error:
        seen, short = _looked(module, seed, repeats=True)
        try:
            encoder, stream = streams_of(seen)
        except ValueError:
            raise error from None
    causal = is_causal(seen, stream.calls[-1])
    if encoder is not None:
        seen = replace(seen, memory=encoder.memory)
    layout = _layout(seen, short, stream)
    if encoder is not None:
        own = replace(_layout(seen, short, encoder), causal=False, answers="states")
        layout = replace(layout, encoder=own)
    positions = 0 if stream.calls[0].x is None or takes_words(module) else stream.calls[0].x.shape[1]
    return replace(layout, causal=causal, answers=_answers(seen, causal), positions=positions)


def _looked(module: PreTrainedModel, seed: int, *, repeats: bool = False) -> tuple[Seen, Seen]:
    """What two prompts show, and what many of one token, or position, do. Raises: ValueError where it cannot be seen."""
    try:
        if not takes_words(module):
            seen = look(module, samples(module, 2, seed), repeats=repeats)
            return seen, positions_apart(seen)
        many, single = _prompts(module, seed)
        seen = look(module, many, repeats=repeats)
        return seen, look_again(module, single, seen.interface, repeats)
    except Exception as error:  # whatever a class that was made for other inputs raises
        raise ValueError(
            f"it cannot be looked at on {module.main_input_name} alone ({type(error).__name__}: {error})"
        ) from error


def _answers(seen: Seen, causal: bool) -> Answers:
    """Where a model answers. Raises: ValueError for one that gives a label to each token."""
    held, (rows, *inner, width) = seen.module.config, seen.logits.shape
    if seen.headless:
        return "states"
    if not inner:
        if width != getattr(held, "num_labels", None):
            raise ValueError(f"its logits {[rows, width]} are neither of tokens nor of its classes")
        return "class"
    if causal:
        return "next"
    if seen.tokens.is_floating_point() or width != held.get_text_config().vocab_size:
        raise ValueError(f"it gives each position {width} numbers, which are no logits of tokens")
    return "mask"


def _prompts(module: PreTrainedModel, seed: int) -> tuple[Tensor, Tensor]:
    """Two prompts, and many of one token, no two alike."""
    table = getattr(module.get_input_embeddings(), "weight", None)
    if table is None:
        raise ValueError("it has no one table of token embeddings")
    tokens = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed)).to(runs_on(module))
    if len(tokens) < 2 * LENGTH:
        raise ValueError(f"its vocabulary of {len(tokens)} tokens is too small to tell its parts apart")
    many, single = tokens[: 2 * LENGTH].view(2, LENGTH), tokens[:SINGLE, None]
    if not Inputs(module).parted:
        return many, single
    border = [torch.full_like(asked[:, :1], BREAK) for asked in (many, single)]
    written = [asked.flip(0, 1)[:, -WRITTEN:] for asked in (many, single)]
    return torch.cat([many, border[0], written[0]], 1), torch.cat([single, border[1], written[1]], 1)


def _layout(seen: Seen, short: Seen, stream: Stream) -> Layout:
    built = [_built(seen, block) for block in stream.calls]
    known: dict[str, Projections | None] = {}
    layers: list[list[Draft]] = []
    for found, streams in built:
        drafts = [Draft.of(seen, part, found, streams) for part in found]
        for draft in drafts:
            if draft.found.attended:
                known[draft.part.kind] = draft.attend(seen, short, known.get(draft.part.kind))
        layers.append(drafts)
    prove(seen, [draft for drafts in layers for draft in drafts])
    blocks = tuple(_ordered(beside([draft.part for draft in drafts])) for drafts in layers)
    for block, parts in zip(stream.calls, blocks, strict=True):
        if twice := [kind for kind, n in Counter(part.kind for part in parts).items() if n > 1]:
            writes = " and ".join(part.write for part in parts if part.kind == twice[0])
            raise ValueError(
                f"{block.path} has two parts of one kind ({writes}, each a {twice[0]}), which have no address"
            )
    return Layout(
        stream.blocks, stream.norm, stream.unembed, _alike_heads(blocks), order=stream.order, inner=stream.inner
    )


def _built(seen: Seen, block: Call) -> tuple[list[Found], tuple[Tensor | None, ...]]:
    """The parts of a block, in the order of adding in which most of them read a stream between, and those streams."""
    tried = [(parts_of(seen, block, sum), sum.streams) for sum in sums_of(seen, block)]
    return max(tried, key=lambda one: sum(Draft.of(seen, part, *one).part.reads != "" for part in one[0]))


def _ordered(parts: Sequence[Part]) -> tuple[Part, ...]:
    """In the order of adding; those that nobody reads between stand as their addresses do."""
    between = sorted({0, *(part.after for part in parts), len(parts)})
    runs = [sorted(parts[a:b], key=lambda part: KINDS.index(part.kind)) for a, b in pairwise(between)]
    return tuple(part for run in runs for part in run)


def _alike_heads(blocks: Sequence[tuple[Part, ...]]) -> tuple[tuple[Part, ...], ...]:
    """The blocks, without the heads of those that have another number of them than most."""
    counts = Counter(part.heads for parts in blocks for part in parts if part.heads[0])
    if len(counts) < 2:
        return tuple(blocks)
    usual = counts.most_common(1)[0][0]

    def told(part: Part) -> Part:
        if part.heads in ((0, 0), usual):
            return part
        (n, n_kv), (most, most_kv) = part.heads, usual
        why = f"this attention has {n} heads and {n_kv} for keys, where most have {most} and {most_kv}"
        names = (part.site(name) for name in ("head", "pattern", *part.maps))
        return without(replace(part, projection="", maps={}, pattern="", heads=(0, 0)), why, *names)

    return tuple(tuple(told(part) for part in parts) for parts in blocks)
