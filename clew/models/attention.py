"""The site `pattern`: attention probabilities, seen and edited through transformers' attention interface.

The value of the attention stays that of the implementation the model runs with (sdpa, eager), bit
for bit, unless the pattern is edited; the probabilities are computed beside it. Sources: the softmax
of Vaswani et al. 2017 with the scale, mask, soft cap and sinks that the model passes to the interface.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_mask
from torch.nn.functional import silu, softplus
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from clew.models.state import Held, configs_of

Look = Callable[[Tensor, Tensor, Tensor, float], None]
"""Called with queries [batch, head, seq, d_head] and keys (one per key-value head) as they are multiplied, that is
rotated and normed; which keys each query sees, as a mask with four dimensions; and the factor on their product."""

OURS = "clew_"
"""What the names of the implementations begin with that go through `_attend`."""

GATES: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": torch.sigmoid, "softplus": softplus, "silu": silu}
"""Functions through which the gates of attentions go."""

_watchers: dict[nn.Module, list[Callable[[Tensor], Tensor]]] = {}
_lookers: dict[nn.Module, list[Look]] = {}
_apart: dict[nn.Module, list[list[Shared]]] = {}


@dataclass(frozen=True)
class Shared:
    """Keys and values of one attention call, shared and as each query head gets them, [batch, head, seq, d_head]."""

    key: Tensor
    value: Tensor
    keys: Tensor
    """One for each query head; a gradient here is that head's share."""
    values: Tensor


def gated(mix: Tensor, gate: Tensor, function: str) -> Tensor:
    """What heads mix, [..., heads side by side], times a function of a gate for each of its numbers, or for each head."""
    factor = GATES[function](gate)
    return (mix.unflatten(-1, (factor.shape[-1], -1)) * factor.unsqueeze(-1)).flatten(-2)


def watch(held: Held, module: nn.Module, visit: Callable[[Tensor], Tensor]) -> None:
    """Let `visit` see, and replace, the pattern [batch, head, query, key] of one attention module."""
    held.listed(_watchers, module, visit)


def look(held: Held, module: nn.Module, see: Look) -> None:
    """Let `see` look at the queries and keys of one attention module, in runs in which a pattern is read."""
    held.listed(_lookers, module, see)


def heads_apart(held: Held, module: PreTrainedModel, owners: Sequence[nn.Module]) -> list[Shared]:
    """Hand each query head a copy of its shared key and value in every call; returns a list that takes them, call by call."""
    seen: list[Shared] = []
    for owner in owners:
        held.listed(_apart, owner, seen)
        held.put(owner, "num_key_value_groups", owner.num_key_value_groups)  # which a call sets aside
    show_patterns(held, module)
    return seen


def show_patterns(held: Held, module: PreTrainedModel) -> None:
    """Route attention through `_attend`, if it does not go there already."""
    route(held, module, OURS, lambda own: _attend)


def route(held: Held, module: PreTrainedModel, prefix: str, attend: Callable[[str], Callable[..., Any]]) -> None:
    """Have every config in a module name an implementation of ours in place of its own, if it does not already.

    An encoder and a decoder have configs of their own, and a config may hold others.
    Args: prefix: what our names begin with, before that of its own. attend: the implementation, by the name of its own.
    """
    models = (part.config for part in module.modules() if isinstance(part, PreTrainedModel))
    every = {id(each): each for config in models for each in configs_of(config)}
    for each in every.values():
        own = getattr(each, "_attn_implementation", None) or "eager"
        if own.startswith(prefix):
            continue
        AttentionInterface.register(prefix + own, attend(own))
        if own in ALL_MASK_ATTENTION_FUNCTIONS:  # else transformers makes no mask for it, and none for this name either
            AttentionMaskInterface.register(prefix + own, ALL_MASK_ATTENTION_FUNCTIONS[own])
        held.put(each, "_attn_implementation_internal", prefix + own)  # the setter would set those of others, too


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, Tensor | None]:
    own = module.config._attn_implementation.removeprefix(OURS)  # type: ignore[union-attr]
    eager: Any = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(own, eager)
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    for see in _lookers.get(module, ()):
        see(query, key, _seen(module, query, key, attention_mask, rest), factor)
    groups = query.shape[1] // key.shape[1]
    if module in _apart:
        copies = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        for seen in _apart[module]:
            seen.append(Shared(key, value, *copies))
        key, value, groups = *copies, 1
        with _ungrouped(module):
            out, _ = attend(module, query, key, value, attention_mask, scaling=scaling, **rest)
    else:
        out, _ = attend(module, query, key, value, attention_mask, scaling=scaling, **rest)
    if module not in _watchers:
        return out, None
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    pattern = new = _pattern(query, key, _seen(module, query, key, attention_mask, rest), factor, rest)
    for visit in _watchers[module]:
        new = visit(new)
    mixed = (new @ value if new.requires_grad else cast("Tensor", _MixedBy.apply(new, value, False))).transpose(1, 2)
    # Where no edit changed the pattern, the value is that of the model's own attention, bit for bit; the gradient
    # goes through the pattern.
    moved = (new != pattern).any(-1).transpose(1, 2).unsqueeze(-1)
    new = torch.where(moved, mixed, out.detach() + (mixed - mixed.detach()) if mixed.requires_grad else out)
    return new.contiguous(), None  # as every implementation gives it: some families take a view of it


class _MixedBy(torch.autograd.Function):
    """pattern @ value of a pattern that is held still, or (`back`) its transpose.

    A plain product makes a copy of the pattern for each of many gradients that go back at once; here they lie side by side
    in one product.
    """

    @staticmethod
    def forward(pattern: Tensor, value: Tensor, back: bool) -> Tensor:
        return (pattern.mT if back else pattern) @ value

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.back = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, cast("Tensor", _MixedBy.apply(ctx.saved_tensors[0], grad, not ctx.back)), None

    @staticmethod
    def vmap(info: Any, dims: tuple[Any, ...], pattern: Tensor, value: Tensor, back: bool) -> tuple[Tensor, int]:
        assert dims[0] is None, "a held pattern is one for all gradients"
        side = value.movedim(dims[1], -2)
        mixed = cast("Tensor", _MixedBy.apply(pattern, side.flatten(-2), back))
        return mixed.unflatten(-1, side.shape[-2:]), mixed.ndim - 1


@contextmanager
def _ungrouped(module: nn.Module) -> Iterator[None]:
    """The implementations repeat keys as often as the module says; these are repeated already."""
    own = module.num_key_value_groups
    vars(module)["num_key_value_groups"] = 1
    try:
        yield
    finally:
        vars(module)["num_key_value_groups"] = own


def _seen(module: nn.Module, query: Tensor, key: Tensor, mask: Any, rest: Mapping[str, Any]) -> Tensor:
    """Which keys each query sees, [batch, head, query, key] or 1 for the first two: as the mask says, or without one.

    Flex attention is given a function that says it of a query and a key.
    Implementations with flash attention's contract know by themselves that attention is causal, get the window as an
    argument, and as mask at most which keys [batch, key] are no padding. Raises: ValueError for a mask of another kind.
    """
    if isinstance(mask, Tensor) and mask.ndim == 4:
        return mask
    if isinstance(mask, BlockMask):
        return create_mask(
            mask.mask_mod, query.shape[0], query.shape[1], query.shape[-2], key.shape[-2], query.device.type
        )
    if mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 2):
        raise ValueError(
            f"the attention is given a {type(mask).__name__} as its mask, from which no pattern can be made"
        )
    queries, keys = query.shape[-2], key.shape[-2]
    back = torch.arange(keys - queries, keys, device=query.device)[:, None] - torch.arange(keys, device=query.device)
    causal, window = rest.get("is_causal"), rest.get("sliding_window")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    seen = (back >= 0) if causal else torch.ones_like(back, dtype=torch.bool)
    seen = seen if window is None else seen & (back.abs() < window)
    return seen[None, None] if mask is None else seen & mask[:, None, None, -keys:].bool()


def _pattern(query: Tensor, key: Tensor, mask: Tensor, scaling: float, rest: Mapping[str, Any]) -> Tensor:
    """Probabilities; with sinks, a logit for each head that attends to nothing, what they leave."""
    scores = query @ key.transpose(-1, -2) * scaling
    if (bias := rest.get("position_bias")) is not None:  # as T5 says how far away a key is
        scores = scores + bias
    if (softcap := rest.get("softcap")) is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    else:
        scores = scores + mask[..., : key.shape[-2]]
    if (sinks := rest.get("s_aux")) is not None:
        scores = torch.cat([scores, sinks.to(scores).view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)], -1)
    wide = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return wide[..., : key.shape[-2]].to(query.dtype)
