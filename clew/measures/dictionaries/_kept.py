"""What dictionaries read and write at the positions of a text that count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor

from clew.data.text.windows import WindowBatch, Windows
from clew.dictionaries import Dictionary
from clew.models import Model
from clew.models.trace import as_read
from clew.scale.budget import at_once


@dataclass(frozen=True)
class Kept:
    """The positions of one batch that count, for one dictionary."""

    read: Float[Tensor, "token d_in"]
    value: Float[Tensor, "token d_out"]
    """What is to be explained."""
    document: Int[Tensor, " token"]
    classes: Int[Tensor, " token"] | None


def placed(model: Model, dictionary: Dictionary) -> Dictionary:
    """The dictionary on the model's device. Raises: ValueError when the model has no such site, or another width there."""
    return replace(model, edits=(), view=None).through(dictionary).dictionaries[dictionary.writes]


def kept(model: Model, windows: Windows, *dictionaries: Dictionary, tokens: int = 0) -> Iterator[tuple[Kept, ...]]:
    """For each batch of windows, what each of the dictionaries reads and writes. The model stops at the last site.

    Args: tokens: how many run at once; as many as the codes leave room for when 0.
    """
    sites = {s for d in dictionaries for s in (d.reads, d.writes)}
    much, left = tokens or at_once(max(d.n_units for d in dictionaries)), model.body.layout.causal
    for batch in windows.batches(much, left=left):
        trace = model.run(batch.ids, real=batch.real, read=sites, logits=0)
        document, keep = of_tokens(batch), batch.keep.to(model.device)
        classes = None if batch.classes is None else batch.classes[batch.keep]
        yield tuple(
            Kept(as_read(trace[d.reads], d)[keep], as_read(trace[d.writes], d)[keep], document, classes)
            for d in dictionaries
        )


def of_tokens(batch: WindowBatch) -> Int[Tensor, " token"]:
    """The document of each position that counts."""
    return batch.document[:, None].expand_as(batch.keep)[batch.keep]


def explained(
    dictionary: Dictionary, read: Float[Tensor, "*token d_in"], code: Float[Tensor, "*token code"]
) -> Float[Tensor, "*token d_out"]:
    """`dictionary.reconstruct(read)` from a code that is there already."""
    skip = getattr(dictionary, "W_skip", None)
    return dictionary.decode(code) if skip is None else dictionary.decode(code) + read @ skip
