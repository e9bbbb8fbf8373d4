"""What a model thinks of running text: every token judged with the given tokens before it, with the edits in force."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.changes import ActivationEdit
from clew.data.text.windows import WindowBatch
from clew.models import Model
from clew.models.likelihood import log_softmax, meeting


def next_tokens(batch: WindowBatch) -> Int[Tensor, " token"]:
    """The tokens of a batch that are predicted and count: those to keep that follow a real one."""
    return batch.ids[:, 1:][_predicted(batch)]


def places(batch: WindowBatch) -> Int[Tensor, "token 2"]:
    """Of each of the next tokens, which row of the batch it is in, and where in its window it stands, from 0."""
    row, column = _predicted(batch).nonzero(as_tuple=True)
    return torch.stack([row, column + 1 - (~batch.real).sum(1)[row]], dim=1)


def documents(batch: WindowBatch) -> Int[Tensor, " token"]:
    """The document of each of the next tokens."""
    return batch.document[:, None].expand_as(batch.ids)[:, 1:][_predicted(batch)]


LEAD = 0.25
"""Of running text, the share that counts as a prompt for edits that speak of one; the rest is what is written after it."""


def predictions(model: Model, batch: WindowBatch, *, lead: float = LEAD) -> Float[Tensor, "token vocab"]:
    """log p of every token in the place of each of the next tokens, in float32 or better.

    Edits that mean no position of this batch are left out of the run, for elsewhere they may mean some.

    Args: lead: the share of the columns that is the prompt; 1 for all.
    Raises: ValueError for a model that does not say what comes next.
    """
    model.body.check_causal("what is made of running text")
    prompt = lead_of(batch, lead)
    with torch.no_grad():
        logits = meeting(model, batch.ids, batch.real, prompt).run(batch.ids, real=batch.real, prompt=prompt).logits
    assert logits is not None
    return log_softmax(logits[:, :-1][_predicted(batch).to(logits.device)])


def lead_of(batch: WindowBatch, lead: float) -> int:
    """How many columns of a batch of running text count as the prompt, at least one."""
    return max(1, round(lead * batch.ids.shape[1]))


def idle(edits: Iterable[ActivationEdit], batch: WindowBatch, *, lead: float = LEAD) -> list[ActivationEdit]:
    """Those of the edits that mean no position of a running text from which a token is predicted."""
    prompt = lead_of(batch, lead)
    return [e for e in edits if not bool(e.where.mask(batch.ids, batch.real, prompt)[:, :-1].any())]


def _predicted(batch: WindowBatch) -> Bool[Tensor, "batch next"]:
    return batch.keep[:, 1:] & batch.real[:, :-1]
