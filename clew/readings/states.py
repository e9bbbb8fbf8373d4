"""States: what a model holds of each text at some of its sites, one row per text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from clew.evidence import Given
from clew.models import Model
from clew.models.tokens import by_length, rows_of
from clew.scale.budget import at_once
from clew.sites import PATTERNS, Site


def states(
    model: Model,
    texts: Sequence[Given],
    sites: Iterable[Site | str],
    *,
    at: int | Literal["mean"] = -1,
    skip: int = 0,
) -> dict[Site, Float[Tensor, "example d"]]:
    """What each site holds at one token of every text, or on average over its tokens.

    Texts of one length run together and nothing is padded, so a row does not depend on the other texts. The model's
    edits are in force, and a run stops at the last of the sites.

    Args:
        texts: prompts, as text, as chats, or as token ids that are taken as they are.
        sites: any but `pattern`, whose width is the length of the text.
        at: the token, counted from the end if negative; "mean" for the mean over the tokens.
        skip: leave the first tokens out of the mean (the first is often an attention sink of huge norm).

    Returns: site -> [example, d], rows as the texts, on the CPU, in float32 (float64 for a model in float64).
    Raises: ValueError for a text that has no such token, or a site that the model does not have.

    >>> states(model, ["The capital of France is", "She sold the old boat"], ["resid.3"])[Site("resid", 3)].shape
    torch.Size([2, 76])
    """
    read = sorted({model.body.site(site) for site in sites})
    if not read or any(site.part in PATTERNS for site in read):
        raise ValueError(f"give sites of a fixed width, such as 'resid.3', to read states at; {read} were given")
    rows = rows_of(model, texts, "text")
    _long_enough(texts, rows, skip + 1 if at == "mean" else -at if at < 0 else at + 1)
    tokens = at_once(sum(model.body.widths[site] for site in read), copies=2)
    wide = torch.promote_types(model.body.dtype, torch.float32)
    found = {site: torch.empty(len(rows), model.body.widths[site], dtype=wide) for site in read}
    for length, index in by_length(rows):
        for some in torch.tensor(index).split(max(1, tokens // length)):
            trace = model.run(torch.tensor([rows[i] for i in some.tolist()]), read=read, logits=0)
            for site in read:
                x = trace[site].detach()
                kept = x[:, skip:].to(wide).mean(1) if at == "mean" else x[:, at]
                found[site][some] = kept.to("cpu", wide)
    return found


def _long_enough(texts: Sequence[Given], rows: Sequence[Sequence[int]], needed: int) -> None:
    if not rows:
        raise ValueError("there are no texts to read states of")
    shortest = min(range(len(rows)), key=lambda i: len(rows[i]))
    if len(rows[shortest]) < needed:
        raise ValueError(
            f"{texts[shortest]!r} has {len(rows[shortest])} tokens, and what is to be read needs {needed}; "
            "leave it out, or choose another `at` or `skip`"
        )
