"""What a model makes of a prompt: what comes next, which units fire where, and what the logit lens reads on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from clew.apps._desk.answers import FiresAt, LensAt, Likely, PromptShown, UnitFires
from clew.apps._desk.asked import PromptAsked
from clew.apps._desk.names import called
from clew.apps._desk.tokens import tokens_of
from clew.apps._desk.views import View
from clew.labels import Labels
from clew.readings.readout import Readout

LENS = (
    "The logit lens: what stands in the stream after each block, read through the last norm and the unembedding as if no "
    "block came after it. Early blocks write for later ones too, so it shows what could be said there, not what will be."
)
MOST = 50
"""Tokens or units at one place."""


def prompt(view: View, asked: PromptAsked) -> PromptShown:
    """Run the prompt once and read everything. Raises: ValueError for an empty prompt, or a `top` out of range."""
    if not 1 <= asked.top <= MOST:
        raise ValueError(f"top is {asked.top}; give how many tokens and units to show at each place, from 1 to {MOST}")
    model = view.model
    tokens, words = tokens_of(model, asked.text)
    stream = model.sites("resid")
    reads = {d.reads for d in model.dictionaries.values()} | set(model.dictionaries) | set(stream)
    with view.gate.turn(), torch.no_grad():
        trace = model.run(tokens, read=reads, logits=1)
        fires = list(_fires(view, trace, asked.top, len(words)))
        readout = Readout.of(model)
        lens = [LensAt(str(site), _likely(model, readout.lens(trace[site][0]), asked.top)) for site in stream]
        after = _likely(model, trace.logits[0, -1:], asked.top)[0]
    return PromptShown(words, after, fires, lens, LENS)


def likely(model: Any, logits: Tensor, n: int) -> list[Likely]:
    """The most likely tokens. Args: logits: [vocab]."""
    return _likely(model, logits[None], n)[0]


def _likely(model: Any, logits: Tensor, n: int) -> list[list[Likely]]:
    """The most likely tokens of each row."""
    top = logits.float().softmax(-1).topk(min(n, logits.shape[-1]))
    rows = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return [[Likely(model.told(t), round(p, 6)) for t, p in zip(*row, strict=True)] for row in rows]


def _fires(view: View, trace: Any, n: int, length: int) -> Iterator[FiresAt]:
    """Of each position the units of largest size, of all sites together."""
    best: list[list[tuple[float, str]]] = [[] for _ in range(length)]
    for site, dictionary in view.model.dictionaries.items():
        if not dictionary.n_units:
            continue
        code = dictionary.fold(trace.code(site))[0].float()
        top = code.abs().topk(min(n, code.shape[-1]), dim=-1).indices
        values = code.gather(-1, top)
        for at, (units, sizes) in enumerate(zip(top.tolist(), values.tolist(), strict=True)):
            best[at] += [(size, f"{site}/{unit}") for unit, size in zip(units, sizes, strict=True) if size != 0]
    labels: dict[str, Labels] = {}
    for at, found in enumerate(best):
        strongest = sorted(found, key=lambda pair: -abs(pair[0]))[:n]
        yield FiresAt(at, [UnitFires(unit, value, called(view, unit, labels)) for value, unit in strongest])
