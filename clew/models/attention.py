"""The site `pattern`: attention probabilities, seen and edited through transformers' attention interface.

The value of the attention stays that of the implementation the model runs with (sdpa, eager), bit
for bit, unless the pattern is edited; the probabilities are computed beside it. Sources: the softmax
of Vaswani et al. 2017 with the scale, mask and soft cap that the model passes to the interface.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_watchers: dict[nn.Module, list[Callable[[Tensor], Tensor]]] = {}


class Handle:
    """Removes one watcher, as a hook's handle does."""

    def __init__(self, module: nn.Module, visit: Callable[[Tensor], Tensor]) -> None:
        self.module, self.visit = module, visit

    def remove(self) -> None:
        _watchers[self.module].remove(self.visit)
        if not _watchers[self.module]:
            del _watchers[self.module]


def watch(module: nn.Module, visit: Callable[[Tensor], Tensor]) -> Handle:
    """Let `visit` see, and replace, the pattern [batch, head, query, key] of one attention module."""
    _watchers.setdefault(module, []).append(visit)
    return Handle(module, visit)


@contextmanager
def patterns_visible(module: PreTrainedModel) -> Iterator[None]:
    """Route attention through `_attend` while inside; the model's own setting comes back afterwards."""
    own = module.config._attn_implementation or "eager"
    name = f"clew_{own}"
    AttentionInterface.register(name, _attend)
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[own])
    module.config._attn_implementation = name
    try:
        yield
    finally:
        module.config._attn_implementation = own


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, Tensor | None]:
    own = module.config._attn_implementation.removeprefix("clew_")  # type: ignore[union-attr]
    eager: Any = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(own, eager)
    out, _ = attend(module, query, key, value, mask, scaling=scaling, **rest)
    if module not in _watchers:
        return out, None
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    pattern = new = _pattern(
        query, key, mask, query.shape[-1] ** -0.5 if scaling is None else scaling, rest.get("softcap")
    )
    for visit in _watchers[module]:
        new = visit(new)
    mixed = (new @ value).transpose(1, 2)
    # Where no edit changed the pattern, the value is that of the model's own attention, bit for bit; the gradient
    # goes through the pattern.
    moved = (new != pattern).any(-1).transpose(1, 2).unsqueeze(-1)
    return torch.where(moved, mixed, out.detach() + (mixed - mixed.detach()) if mixed.requires_grad else out), None


def _pattern(query: Tensor, key: Tensor, mask: Tensor | None, scaling: float, softcap: float | None) -> Tensor:
    scores = query @ key.transpose(-1, -2) * scaling
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is None:
        queries, keys = scores.shape[-2:]
        mask = torch.ones(queries, keys, dtype=torch.bool, device=scores.device).tril(keys - queries)
    if mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    else:
        scores = scores + mask[..., : key.shape[-2]]
    wide = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return wide.to(query.dtype)
