"""The gradient of a weight, example by example, as what it is made of: no matrix of a weight's size is ever held.

Of a linear map y = W x the gradient is a sum over tokens of outer products, (d loss / d y) xᵀ, so both sides of it say all
that there is to say of each example, and a run and its backward pass to the activations give them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from clew.models.model import Model
from clew.models.state import Held, in_state
from clew.models.trace import Trace
from clew.sites import Site

See = Callable[[str, Float[Tensor, "batch seq d_in"], Float[Tensor, "batch seq d_out"]], None]
"""Told a map's name in the module, what came in and d loss / d what came out."""


def factors(
    model: Model,
    tokens: Int[Tensor, "batch seq"],
    loss: Callable[[Trace], Float[Tensor, ""]],
    see: See,
    *,
    real: Bool[Tensor, "batch seq"] | None = None,
) -> Trace:
    """Show both sides of the gradient of every linear map in the blocks, the last map first.

    Args:
        loss: of a run with the logits of its last position; a sum over examples, which are independent of each other.
        see: called once for each map and batch; what it is given is not kept.

    Returns: the run. Costs: one forward, and one backward to the activations.
    Raises: ValueError for a model with weights in its blocks that are not those of linear maps, such as fused experts.
    """
    maps = dict(linear_maps(model))

    def work(held: Held) -> Trace:
        for name, module in maps.items():
            held.hook(module, partial(_tie, see, name))
        trace = model.run(tokens, real=real, read=[Site("embed")], grad=True, logits=1)
        trace.gradients(loss(trace))
        return trace

    return in_state(model.body.module, work)


def linear_maps(model: Model) -> Iterator[tuple[str, nn.Module]]:
    """The linear maps in the blocks by their names in the module. Raises: as `factors`."""
    blocks = set(model.body.blocks)
    for path, module in model.body.module.named_modules():
        if module not in blocks:
            continue
        for name, part in module.named_modules(prefix=path):
            if isinstance(part, nn.Linear | Conv1D):
                yield name, part
            elif strange := [n for n, p in part.named_parameters(recurse=False) if p.ndim > 1]:
                raise ValueError(
                    f"{name}.{strange[0]} in {model.name} is a weight of a {type(part).__name__}, whose gradient is no sum "
                    "over tokens of what goes in and comes out; the other kinds of vectors need no gradients of weights"
                )


def _tie(see: See, name: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
    came_in = args[0].detach()

    def told(gradient: Tensor) -> None:
        with torch.no_grad():
            see(name, came_in, gradient)

    if output.requires_grad:
        output.register_hook(told)
