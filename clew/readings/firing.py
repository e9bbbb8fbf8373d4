"""How the units of a dictionary fire on texts: how strongly, how often, and how much more on some than on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import Dictionary
from clew.evidence import Given
from clew.models import Model
from clew.models.tokens import by_length, rows_of
from clew.readings.contrast import batch_tokens


@dataclass(frozen=True, eq=False)
class Firing:
    """What the units of one dictionary do on some texts; where a unit fires says `Dictionary.fires`."""

    mean: Float[Tensor, " unit"]
    """The code, on average over the tokens of a text and then over the texts."""
    share: Float[Tensor, " unit"]
    """Share of the texts in which it fires at all."""
    size: Float[Tensor, " unit"]
    """The code, on average over the tokens at which it fires; 0 for a unit that never does."""
    texts: int


def firing(model: Model, texts: Sequence[Given], dictionary: Dictionary, *, skip: int = 1) -> Firing:
    """Run every text once and count.

    Texts of one length run together and nothing is padded. The model's edits are in force.

    Args:
        dictionary: one that fits the model; it need not be among those through which the model is seen.
        skip: leave out the first tokens of a text; the first is often an attention sink with a code of its own.

    Returns: a Firing, tensors [unit] in float64 on the CPU.
    Raises: ValueError for no text, one of `skip` tokens or fewer, or units of several coordinates each.
    """
    view = model.through(dictionary)
    if len(dictionary.unfold(torch.zeros(dictionary.n_units))) != dictionary.n_units:
        raise ValueError(
            f"each unit of the {dictionary.kind} dictionary at {dictionary.writes} has several coordinates, "
            "so it has no size that fires; choose a dictionary whose units are one number each"
        )
    rows = rows_of(model, texts, "text")
    if not rows:
        raise ValueError("there are no texts to see units fire on")
    if short := [text for text, row in zip(texts, rows, strict=True) if len(row) <= skip]:
        raise ValueError(f"{short[0]!r} has {skip} tokens or fewer, and the first {skip} do not count; leave it out")
    mean, share, total, times = torch.zeros(4, dictionary.n_units, dtype=torch.float64)
    for length, index in by_length(rows):
        for some in torch.tensor([rows[i] for i in index]).split(max(1, batch_tokens(view) // length)):
            with torch.no_grad():
                trace = view.run(some, read={dictionary.reads, dictionary.writes}, logits=0)
                code = trace.code(dictionary.writes)[:, skip:].cpu()
            fires = dictionary.fires(code)
            mean += code.mean(1, dtype=torch.float64).sum(0)
            share += fires.any(1).sum(0)
            total += torch.where(fires, code, 0).sum((0, 1), dtype=torch.float64)
            times += fires.sum((0, 1))
    return Firing(mean / len(texts), share / len(texts), total / times.clamp(min=1), len(texts))
