"""What every kind of vector does: contexts run in batches, each given one row."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.finder import load
from clew.models import Model, Trace
from clew.models.likelihood import log_softmax
from clew.progress import Tell
from clew.studies.atlas._sketch import Sketch
from clew.studies.atlas.contexts import Contexts

Row = Callable[[Tensor, Tensor, Tensor], Float[Tensor, "row dim"]]
"""Of the ids of some contexts, which of them are real, and their answers: a row each."""


def rows(given: Contexts, row: Row, tokens: int, progress: Tell | None) -> Float[np.ndarray, "context dim"]:
    """The row of every context."""
    made: np.ndarray | None = None
    done = 0
    for index, ids, real, answer in given.batches(tokens):
        some = row(ids, real, answer).float().cpu().numpy()
        made = np.empty((len(given), some.shape[1]), np.float32) if made is None else made
        made[index] = some
        done += len(index)
        if progress:
            progress(done, len(given))
    assert made is not None
    return made


def centred(kind: str, made: Float[np.ndarray, "context dim"]) -> Float[np.ndarray, "context dim"]:
    """Vectors of a kind, their mean taken off where the file of the kind says so."""
    file = sys.modules[load("studies.atlas.vectors", kind).__module__]
    return made - made.mean(0) if file.CENTRED else made


def surprise(trace: Trace, answer: Tensor) -> Float[Tensor, ""]:
    """-log p(answer), summed over contexts: what gradients are of."""
    assert trace.logits is not None
    return -log_softmax(trace.logits[:, -1]).gather(1, answer.to(trace.logits.device)[:, None]).sum()


class Side:
    """Puts what is at several sites side by side, in at most `dims` dimensions."""

    def __init__(self, model: Model, widths: Iterable[int], dims: int, seed: int) -> None:
        widths = list(widths)
        self.sites, self.whole = list(model.dictionaries), sum(widths) <= dims
        self.sketches = [Sketch(str(s), w, dims, seed) for s, w in zip(self.sites, widths, strict=True)]

    def __call__(self, parts: Iterable[Float[Tensor, "row width"]]) -> Float[Tensor, "row dim"]:
        if self.whole:
            return torch.cat([part.float() for part in parts], dim=1)
        total: Tensor | None = None
        for sketch, part in zip(self.sketches, parts, strict=True):
            total = sketch(part) if total is None else total.add_(sketch(part))
        assert total is not None
        return total


def last_of(x: Float[Tensor, "row seq d"], real: Tensor, last: int) -> Float[Tensor, "row d"]:
    """Summed over the last positions; over all that are real where `last` is 0."""
    x = x * real[..., None].to(x)
    return (x if not last else x[:, -last:]).sum(1)


def unit(x: Float[Tensor, "*row d"]) -> Float[Tensor, "*row d"]:
    """Each row at length 1."""
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)
