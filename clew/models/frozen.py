"""A frozen run: patterns, norm scales and MLPs are held still, so that what is left of the model is linear.

From the embedding and each MLP's write to everything that reads the stream there are then only residual
connections, value and output projections, and fixed numbers. Every value stays that of the model, bit for bit; only
gradients change. Source: the local replacement model of Ameisen et al. 2025, Circuit Tracing.

The patterns and the MLPs are detached where the run visits them (clew/models/run.py); this file holds the norms.
A norm is known by what it does: y = weight * x * scale, or the same of x - mean, plus a bias.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clew.models.body import Body
from clew.models.state import Held
from clew.sites import Site


def held_sites(body: Body) -> set[Site]:
    """The sites that a frozen run detaches: every pattern and every MLP's write.

    Raises: ValueError for a model whose patterns, or whose writes, cannot be seen.
    """
    if not body.layout.adds_up:
        raise ValueError(f"{body.name} cannot be run frozen: its stream goes through a norm in every block")
    if body.layout.encoder is not None:
        raise ValueError(f"{body.name} cannot be run frozen: it has two streams, of an encoder and of a decoder")
    unheld = [
        f"{p.kind}.{i}"
        for i, block in enumerate(body.layout.parts)
        for p in block
        if p.kind in ("mixer", "shared") or p.gated
    ]
    if unheld:
        raise ValueError(
            f"{body.name} cannot be run frozen: {unheld[0]} is no linear map of its input under a held pattern"
        )
    held = {s for s in body.taps if s.part in ("pattern", "mlp")}
    if {s.layer for s in held if s.part == "pattern"} != set(range(body.n_layers)):
        raise ValueError(
            f"{body.name} cannot be run frozen: its attention ({body.module.config.model_type}) shows no pattern to hold"
        )
    return {body.site(s) for s in held}


def hold_norms(held: Held, body: Body, also: Iterable[nn.Module] = ()) -> None:
    """Hold the scale of every norm on the stream, and of these: the gradient sees a fixed linear map."""
    norms = [m for block in body.blocks for m in block.children() if "norm" in type(m).__name__.lower()]
    norms += [body.norm_before(part.kind, i) for i, parts in enumerate(body.layout.parts) for part in parts]
    for norm in {*norms, *also, body.final_norm}:
        held.hook(norm, _hold)


def _hold(norm: nn.Module, args: tuple[Any, ...], y: Tensor) -> Tensor:
    x = args[0]
    weight, bias, centres = _parts(norm, x)
    with torch.no_grad():
        inside = x - x.mean(-1, keepdim=True) if centres else x
        weighted = weight * inside
        scale = ((y - bias) * weighted).sum(-1, keepdim=True) / weighted.square().sum(-1, keepdim=True).clamp_min(1e-30)
        left = (weighted * scale + bias - y).abs().amax(-1)
        eps = max(torch.finfo(torch.float32).eps, torch.finfo(x.dtype).eps)  # most norms compute in float32
        if bool((left > 64 * eps * y.abs().amax(-1)).any()):
            raise ValueError(f"a {type(norm).__name__} is neither a layer norm nor an RMS norm, so it cannot be frozen")
        slope = weight * scale
        if not centres:
            slope = torch.where(inside == 0, slope, y / inside)  # what the norm's own rounding made of it
    linear = (x - x.mean(-1, keepdim=True) if centres else x) * slope
    return y.detach() + (linear - linear.detach())


def _parts(norm: nn.Module, like: Tensor) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"], bool]:
    """(weight up to a factor, bias, whether it takes off the mean), from what the norm makes of three vectors."""
    with torch.no_grad():
        wave = torch.full_like(like.reshape(-1, like.shape[-1])[0], 2.0**12)
        wave[1::2] *= -1
        at_zero, at_wave, above = (norm.forward(v[None, None])[0, 0] for v in (0 * wave, wave, wave + 2.0**12))
        centres = bool(torch.allclose(at_wave, above, rtol=1e-2))
        inside = wave - wave.mean() if centres else wave
        return (at_wave - at_zero) / inside, at_zero, centres
