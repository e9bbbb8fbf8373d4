"""Turning one attention head up, down or around."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from clew.changes import Scale
from clew.data.behaviours.behaviour import Behaviour
from clew.models import Model
from clew.sites import EVERY, Where
from clew.stack import Stack


def scale_head(
    model: Model,
    behaviour: Behaviour | None = None,
    *,
    layer: int,
    head: int,
    factor: float | Sequence[float] = 0.0,
    where: Where = EVERY,
) -> Stack:
    """Multiply what one query head mixes from the values, before the output projection.

    This is the head's values times the factor, but after values were handed out to query heads: where several query heads
    share a value head (GQA), only the one named moves. Find heads that matter with
    `clew.find(model.heads(), behaviour, by="exact_patching")`.

    Args:
        behaviour: needed to choose among several factors; the metric of its pairs decides.
        layer, head: the head, both counted from 0.
        factor: 1 leaves the head as it is, 0 takes it out, a negative one inverts it. Of several, the one with the
            highest mean metric on the clean prompts is taken; judge it on other prompts.
        where: the positions at which it is scaled.

    Returns: a Stack of one Scale; `about` holds the mean metric at every factor that was tried.
    Raises: ValueError for a head that the model does not have, or several factors and no behaviour.

    Source: Yu, Merullo and Pavlick 2023, "Characterizing Mechanisms for Factual Recall" (arXiv:2310.15910).
    There one head, scaled, makes a model answer from its memory or from the context.

    ```python
    stack = clew.edit(clew.open("smollm2-135m"), by="scale_head", layer=23, head=4, factor=-3.0)
    ```
    """
    heads = model.body.n_heads
    if not 0 <= layer < model.n_layers or not 0 <= head < heads:
        raise ValueError(
            f"there is no head {head} in layer {layer} of {model.name}, which has {model.n_layers} layers "
            f"of {heads} heads, counted from 0"
        )
    site = model.body.site(f"head.{layer}")
    d_head = model.body.widths[site] // heads
    slots = tuple(range(head * d_head, (head + 1) * d_head))

    def scaled(by: float) -> Scale:
        return Scale(site, factor=by, units=slots, where=where)

    if isinstance(factor, (int, float)):
        return Stack(
            (scaled(factor),), f"head {head} of layer {layer} times {factor:g}", {"layer": layer, "head": head}
        )
    if behaviour is None:
        raise ValueError(
            f"which of the factors {list(factor)} is best is for a behaviour to say; give one, or one factor"
        )
    tried = {by: _mean_metric(model.edited(scaled(by)), behaviour) for by in factor}
    best = max(tried, key=tried.__getitem__)
    about = {"layer": layer, "head": head, "metric": {f"{by:g}": value for by, value in tried.items()}}
    return Stack((scaled(best),), f"head {head} of layer {layer} times {best:g}", about)


def _mean_metric(model: Model, behaviour: Behaviour) -> float:
    with torch.no_grad():
        how: Any = {"read": behaviour.needs.reads, "logits": behaviour.needs.last}
        values = [behaviour.measured(model.run(batch.clean, **how), batch) for batch in behaviour.batches(model)]
    return float(torch.cat(values).mean())
