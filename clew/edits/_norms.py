"""The norms around attention and MLP: before what they read, after what they write."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clew.models import Model
from clew.models.norms import parts_of


def gain_of(model: Model, norm: nn.Module) -> tuple[Float[Tensor, " d_model"], bool]:
    """(gain in float64 on the CPU, whether it takes off the mean). Raises: ValueError for what is no norm."""
    gain, _, centres, _ = parts(model, norm)
    return gain, centres


def parts(model: Model, norm: nn.Module) -> tuple[Float[Tensor, " d_model"], Float[Tensor, " d_model"], bool, float]:
    """(gain, shift, whether it takes off the mean, eps) of a norm of the stream's width, in float64 on the CPU."""
    body = model.body
    like = torch.zeros(body.widths[body.site("embed")], device=body.device, dtype=body.dtype)
    gain, shift, centres, eps = parts_of(norm, like)
    return gain.cpu(), shift.cpu(), centres, eps


def norm_before(model: Model, layer: int) -> nn.Module:
    """The norm between the stream and the attention of a block."""
    path = model.body.record.attn_norm
    return model.body.blocks[layer].get_submodule(path if isinstance(path, str) else path(model.body.module.config))


def norm_after(model: Model, part: str, layer: int) -> nn.Module | None:
    """The norm between an output projection (`out` or `down`) and the stream, as Gemma 2 and 3 have one."""
    record = model.body.record
    path, inside = (
        (record.attn_write, {record.attn, record.output})
        if part == "out"
        else (record.mlp_write, {record.mlp, record.down})
    )
    return None if not path or path in inside else model.body.blocks[layer].get_submodule(path)
