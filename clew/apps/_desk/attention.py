"""Where a head looks."""

from __future__ import annotations

import torch
from torch import Tensor

from clew.apps._desk.answers import AttentionShown
from clew.apps._desk.asked import AttentionAsked
from clew.apps._desk.tokens import tokens_of
from clew.apps._desk.views import View
from clew.sites import Site, Weight

LONGEST = 256
"""Tokens of a text whose pattern is shown; it has as many rows as columns."""


def attention(view: View, asked: AttentionAsked) -> AttentionShown:
    """The pattern of a head on a text. Raises: ValueError for a layer or a head that there is not."""
    model = view.model
    body, layer = model.body, asked.layer
    if not 0 <= layer < model.n_layers or not 0 <= asked.head < body.n_heads:
        raise ValueError(
            f"there is no head {asked.head} of layer {layer}; {view.name} has layers 0 to {model.n_layers - 1} of "
            f"{body.n_heads} heads each, counted from 0"
        )
    pattern, values = Site("pattern", layer), Site("v", layer)
    if pattern not in body.taps:
        raise ValueError(f"the attention of {view.name} cannot be seen; `clew check {view.name}` says why")
    tokens, words = tokens_of(model, asked.text, LONGEST)
    with view.gate.turn(), torch.no_grad():
        trace = model.run(tokens, read=[pattern] + [values] * (values in body.taps), logits=0)
        norms = _sizes(view, trace[values][0], asked) if values in body.taps else None
    return AttentionShown(words, trace[pattern][0, asked.head].float().round(decimals=5).tolist(), norms)


def _sizes(view: View, values: Tensor, asked: AttentionAsked) -> list[float]:
    """The norm of what the head would add to the stream from each token alone."""
    body = view.model.body
    out = body.linear(Weight(f"out.{asked.layer}")).matrix()
    wide = out.shape[1] // body.n_heads
    kept = asked.head // (body.n_heads // (values.shape[-1] // wide))  # heads share keys and values in groups
    written = values[:, kept * wide : (kept + 1) * wide].to(out) @ out[:, asked.head * wide : (asked.head + 1) * wide].T
    return [round(size, 5) for size in written.float().norm(dim=-1).tolist()]
