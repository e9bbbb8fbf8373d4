"""ReFACT: a fact of a text encoder, changed by one rank-one update of one of its maps.

ROME inside a text encoder: the map's output at the subject's last token becomes a given v*, with everything else that the
map does on ordinary text moved as little as possible. Source: Arad et al. 2024, arXiv:2306.00738. Differs: v* is given
(they fit it to images, which is outside of clew).
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from clew.data.spans import last_of
from clew.edits.linear import change
from clew.edits.modules._modules import edited, inputs_of
from clew.sites import Update, Weight
from clew.stack import Stack

__all__ = ["edited", "key_of", "refact"]


def refact(
    encoder: nn.Module,
    prompt: str,
    subject: str,
    value: Float[Tensor, " out"],
    *,
    tokenizer: Any,
    at: str,
    prior: Float[Tensor, "in in"] | None = None,
) -> Stack:
    """Give the map `at` the output `value` at the last token of the subject.

    Args:
        encoder: transformers' CLIPTextModel or what is called like it.
        prompt, subject: words, and which of them the fact is about.
        value: v*, the bias of the map included.
        at: dotted path of the map, such as "encoder.layers.4.mlp.fc2".
        prior: second moment of what the map reads on ordinary text; the identity by default.

    Returns: a Stack of one Update of rank 1; `edited(encoder, stack)` is the changed encoder.
    Raises: ValueError for a subject that is not in the prompt, or a path that is no linear map.
    """
    key = key_of(encoder, prompt, subject, tokenizer=tokenizer, at=at)
    left, right = change(encoder.get_submodule(at), key[None], value[None], prior=prior, strength=0.0)  # type: ignore[arg-type]
    return Stack((Update(Weight(at), left=left, right=right),), f"refact of {subject}", {"prompt": prompt})


def key_of(encoder: nn.Module, prompt: str, subject: str, *, tokenizer: Any, at: str) -> Float[Tensor, " in"]:
    """What the map `at` reads at the subject's last token."""
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"].to(next(encoder.parameters()).device)
    read = inputs_of(encoder, at, lambda module: module(input_ids=ids))
    return read.reshape(-1, read.shape[-1])[last_of(tokenizer, prompt, subject)]
