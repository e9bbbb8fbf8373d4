"""The norms around attention and MLP, where they stand and what they are in linear algebra: gain, shift, mean, eps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clew.models import Model


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


def parts_of(
    norm: nn.Module, like: Float[Tensor, " d_model"]
) -> tuple[Float[Tensor, " d_model"], Float[Tensor, " d_model"], bool, float]:
    """(gain, shift, whether it takes off the mean, eps) of a norm, from what it makes of five vectors; in float64.

    Whatever a family calls its parameters, and however it stores them (Gemma adds 1 to its gain): norm(x) is
    gain * (x - mean, or x) / sqrt(mean square + eps) + shift.

    Args: like: a vector of the width, dtype and device that the norm reads.
    Raises: ValueError for what is neither a layer norm nor an RMS norm.
    """
    wave = torch.ones_like(like)
    wave[1::2] = -1
    call: Callable[[Tensor], Tensor] = norm.forward
    with torch.no_grad():
        at = lambda x: call(x[None, None])[0, 0].double()  # noqa: E731
        shift, loud, raised, faint = at(0 * wave), at(4096 * wave), at(4096 * (wave + 1)), at(wave / 256)
        x = torch.linspace(-1, 2, len(wave), device=wave.device, dtype=wave.dtype).square()
        made, x, wave = at(x), x.double(), wave.double()
    centres = bool(torch.allclose(loud, raised, rtol=2e-2, atol=1e-2 * float(loud.abs().max())))
    inside = wave - wave.mean() if centres else wave
    size = float(inside.square().mean())
    gain = (loud - shift) / inside * size**0.5
    held = gain != 0
    shrunk = float(((faint - shift)[held] / gain[held]).square().mean())  # size / 2^16 over the same plus eps
    eps = max(0.0, size / 2**16 * (1 / shrunk - 1)) if shrunk else 0.0
    centred = x - x.mean() if centres else x
    wanted = centred / (centred.square().mean() + eps).sqrt() * gain + shift
    loose = max(1e-4, 8 * torch.finfo(like.dtype).eps) * float(wanted.abs().max())
    if not bool(gain.isfinite().all()) or not torch.allclose(made, wanted, rtol=0, atol=loose):
        raise ValueError(f"a {type(norm).__name__} is neither a layer norm nor an RMS norm")
    return gain, shift, centres, eps
