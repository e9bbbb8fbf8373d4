"""ReFACT: a fact of a text encoder, changed by one rank-one update of one of its maps.

ROME inside a text encoder: the map's output at the subject's last token becomes v*, with everything else that the map does
on ordinary text moved as little as possible. Source: Arad et al. 2024, arXiv:2306.00738. Differs: the key is that of the
bare prompt, for the direction of the update as for its size; the authors take the direction from several prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clew.changes import Update
from clew.edits.components.linear import change
from clew.edits.modules._modules import edited, key_of, linear_at, read_at
from clew.models.fingerprint import fingerprint
from clew.readings.moments import Moment
from clew.sites import Weight
from clew.stack import Stack

__all__ = ["edited", "key_of", "moment_of", "refact"]


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
        encoder: transformers' CLIPTextModel or what is called like it, or a CLIPModel, whose text encoder is meant.
        prompt, subject: words, and which of them the fact is about.
        value: v*, the bias of the map included; `learn_value` finds one.
        at: dotted path of the map in `encoder`, such as "encoder.layers.4.mlp.fc2".
        prior: second moment of what the map reads on ordinary text, as `moment_of(...).matrix`; the identity by default,
            which spares no token that is read like the subject.

    Returns: a Stack of one Update of rank 1; `edited(encoder, stack)` is the changed encoder.
    Raises: ValueError for a subject that is not in the prompt, or a path that is no linear map.

    >>> fact = {"prompt": "the President of the United States", "subject": "President", "tokenizer": pipe.tokenizer}
    >>> print(refact(pipe.text_encoder, value=torch.ones(16), at="encoder.layers.0.mlp.fc2", **fact))
    refact of President: 1 edit
      update at encoder.layers.0.mlp.fc2: left [16, 1] of norm ..., right [1, 24] of norm ...
      prompt: the President of the United States
    """
    key = key_of(encoder, prompt, subject, tokenizer=tokenizer, at=at)
    left, right = change(linear_at(encoder, at), key[None], value[None], prior=prior, strength=0.0)
    return Stack((Update(Weight(at), left=left, right=right),), f"refact of {subject}", {"prompt": prompt})


def moment_of(encoder: nn.Module, texts: Sequence[str], *, tokenizer: Any, at: str, batch: int = 64) -> Moment:
    """The second moment of what the map `at` reads on texts, starts and ends included; its `matrix` is a prior.

    Without one, an update of the subject moves every token whose key is like the subject's. A few thousand captions are
    a good start: `participation` says how many directions there are to be estimated. Two moments of one map and the same
    weights add up.
    """
    if not texts:
        raise ValueError("a second moment of no texts; give some ordinary ones, such as captions")
    gram, fourth, samples = torch.tensor(0.0), 0.0, 0
    for first in range(0, len(texts), batch):
        keys = read_at(encoder, texts[first : first + batch], tokenizer=tokenizer, at=at).double().cpu()
        gram, fourth = gram + keys.T @ keys, fourth + float(keys.square().sum(-1).square().sum())
        samples += len(keys)
    about = {"model": type(encoder).__name__, "weights": fingerprint(encoder), "site": f"what {at} reads"}
    return Moment(gram, fourth, samples, about=about)
