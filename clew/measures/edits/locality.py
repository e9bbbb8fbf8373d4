"""Locality: what an edit does to text that it is not about."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.data.text.windows import Windows
from clew.measures._documents import Documents, ratio
from clew.measures.edits._edits import control_models
from clew.models import Model
from clew.models.likelihood import tokens_at_once
from clew.readings.likelihood import LEAD, documents, idle, next_tokens, predictions
from clew.report import Report, Row
from clew.stack import Stack


def locality(
    model: Model,
    windows: Windows,
    stack: Stack,
    *,
    tokens: int = 4096,
    controls: int = 1,
    lead: float = LEAD,
    seed: int = 0,
) -> Report:
    """How far an edit moves the predictions on a text, beside random edits of the same size.

    Over all tokens that count and follow another, with p the unedited and q the edited model:

    - KL: mean of KL(p || q) of the next token, in nats; 0 where nothing changed.
    - loss increase: sum of -log q over sum of -log p, minus 1; the relative increase by which edits are held to a budget.
    - perplexity: exp of the mean -log probability, also of the unedited model.
    - changed: share of tokens in whose place another token is now the most likely one.

    Args:
        tokens: how many of the text at most, its first windows.
        controls: random edits of the same shape, norm and positions, to average over; 0 for none.
        lead: the share of a window that counts as a prompt, for edits and gates that speak of one; the rest counts as
            written after it.
        seed: of the first of them.

    Returns: a Report with rows of "edited" and "random"; intervals over documents. Costs: 2 + controls forwards; memory
        is bounded by the logits of a batch. An edit of positions that this text does not have does nothing here, and a
        note says so.
    Raises: ValueError if no token of the text counts and follows another.
    Source: the degradation of Hewitt et al. 2024 (model editing with canonical examples) is "loss increase".

    >>> stack = clew.edit(model, facts.first(1), by="rome", layer=1, text=text)
    >>> other = clew.data.text.windows.cut(["It rained all day .", "She sold the old boat ."], model.tokenizer)
    >>> report = locality(model, other, stack)
    >>> report["changed"].value  # share of tokens; this text has nothing of capitals
    0.0
    """
    windows = windows.first(tokens)
    edited = model.edited(stack)
    others, note = control_models(model, stack, controls, seed)
    sums, unmet = Documents(), edited.activation_edits
    for batch in windows.batches(tokens_at_once(model, held=2)):
        unmet = idle(unmet, batch, lead=lead)
        wanted, document = next_tokens(batch).to(model.device), documents(batch)
        if not len(wanted):
            continue
        before = predictions(model, batch, lead=lead)
        sums.add(document, n=torch.ones(len(wanted)), loss=-_of(before, wanted))
        for name, other in [("edited", edited), *((f"random {i}", m) for i, m in enumerate(others))]:
            after = predictions(other, batch, lead=lead)
            kl = (before.exp() * (before - after)).sum(-1).clamp(min=0)
            moved = after.argmax(-1) != before.argmax(-1)
            sums.add(document, **{f"kl {name}": kl, f"loss {name}": -_of(after, wanted), f"moved {name}": moved})
    if not len(sums):
        raise ValueError(f"{windows!r} has no token that counts and follows another, so there is nothing to predict")
    notes = [f"{int(sums.sums()['n'][0])} tokens of {len(sums)} documents, intervals over documents", note]
    notes += [f"{len(unmet)} of {len(stack)} edits mean no position of this text: {unmet[0]}"] if unmet else []
    return Report(f"locality of {stack.name or 'an edit'}: {model.name}", tuple(_rows(sums, len(others))), tuple(notes))


def _of(log_p: Float[Tensor, "token vocab"], wanted: Tensor) -> Float[Tensor, " token"]:
    return log_p.gather(1, wanted[:, None])[:, 0]


def _rows(documents: Documents, controls: int) -> Iterator[Row]:
    sums = documents.sums()
    n, loss = sums["n"], sums["loss"]
    runs = {"edited": ["edited"], "random": [f"random {i}" for i in range(controls)]}
    yield documents.row("perplexity", np.exp(ratio(loss, n)), "unedited")
    for of, names in runs.items():
        if names:
            found = {
                "KL": [ratio(sums[f"kl {name}"], n) for name in names],
                "loss increase": [ratio(sums[f"loss {name}"], loss) - 1 for name in names],
                "perplexity": [np.exp(ratio(sums[f"loss {name}"], n)) for name in names],
                "changed": [ratio(sums[f"moved {name}"], n) for name in names],
            }
            yield from (documents.row(measure, np.mean(values, axis=0), of) for measure, values in found.items())
