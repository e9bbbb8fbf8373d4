"""Undone: after `model.undo` everything is as it was, bit for bit, and the model that was edited never changed."""

from __future__ import annotations

import hashlib
from math import nan

import torch
from torch import Tensor

from clew.measures.edits._edits import Prompted, prompts_of
from clew.models import Model
from clew.models.likelihood import meeting
from clew.report import Report, Row
from clew.stack import Stack


def undone(
    model: Model,
    evidence: Prompted,
    stack: Stack,
    *,
    prompts: int = 8,
    lead: int = 12,
) -> Report:
    """Make an edit, run it, undo it, and count what is not bit-identical to the model before.

    Args:
        evidence: prompts to run, of lists, Labelled and Windows the first `lead` tokens of each text.
        prompts: how many at most; they run one by one, so that nothing is padded.

    Returns: a Report without intervals, for it counts. "logits" is the share of prompts whose logits differ in any bit,
        "weights" the number of weight tensors that do: of the "edited" model (an edit that did nothing would prove
        nothing); of it "undone" by `undo`, and "unedited" where the model had no edits before; and of the "original",
        which must be as it was. All but those of "edited" must be 0.
    Raises: EditDidNotFire for an update that changes no bit.
    """
    asked = [model.tokens(text)[0] for text in prompts_of(model, evidence, prompts, lead)]
    weights = _digests(model)
    logits = [_logits(model, ids) for ids in asked]
    edited = model.edited(stack)
    then = {"edited": edited, "undone": edited.undo(len(stack)), "original": model}
    if not model.edits:
        then["unedited"] = edited.unedited
    rows = []
    for of, other in then.items():
        differ = [not torch.equal(_logits(other, ids), before) for ids, before in zip(asked, logits, strict=True)]
        now = _digests(other)
        changed = sum(now[name] != digest for name, digest in weights.items())
        rows.append(Row("logits", sum(differ) / len(differ), nan, nan, of, examples=len(differ)))
        rows.append(Row("weights", float(changed), nan, nan, of, examples=len(weights)))
    whole = all(row.value == 0 for row in rows if row.of != "edited")
    notes = [
        "undone whole: nothing differs in any bit" if whole else "NOT UNDONE: something differs from the model before"
    ]
    if not any(row.value for row in rows if row.of == "edited"):
        notes.append(
            "but the edit changes nothing at these prompts, so this proves nothing; give prompts that it is about"
        )
    return Report(f"{stack.name or 'an edit'} made and undone: {model.name}", tuple(rows), tuple(notes))


def _logits(model: Model, ids: Tensor) -> Tensor:
    with torch.no_grad():
        logits = meeting(model, ids).run(ids).logits
    assert logits is not None
    return logits


def _digests(model: Model) -> dict[str, str]:
    """A hash of every weight, by name; of tied ones under each of their names. Copies of weights would fill the memory."""
    named = model.body.module.named_parameters(remove_duplicate=False)
    return {name: hashlib.sha256(_bytes(weight)).hexdigest() for name, weight in named}


def _bytes(weight: Tensor) -> bytes:
    return weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
