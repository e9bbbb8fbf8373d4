"""Weights that are kept elsewhere until their module runs, as accelerate's `device_map` keeps them on disk or in memory.

Such a module holds empty tensors, and hooks of accelerate's put the weights in for the time of its forward. Reading, editing
what flows and gradients need no more. Who needs a weight itself asks here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def is_offloaded(module: nn.Module) -> bool:
    """Whether some weights are not held by the module itself."""
    return any(p.is_meta for p in module.parameters())


def runs_on(module: nn.Module) -> torch.device:
    """The device of what comes in: that of the first weight, or to which it is brought."""
    name, first = next(module.named_parameters())
    if not first.is_meta:
        return first.device
    found = next(
        (hook.execution_device for _, hook in _hooks(module, name) if hook.execution_device is not None), "cpu"
    )
    return torch.device(found)


def held(module: nn.Module, name: str, tensor: Tensor) -> Tensor:
    """A tensor of a module's state as it is where it is kept.

    Raises: ValueError for one that is nowhere.
    """
    if not tensor.is_meta:
        return tensor
    for leaf, hook in _hooks(module, name):
        if hook.weights_map is not None and leaf in hook.weights_map:
            return hook.weights_map[leaf]
    raise ValueError(f"{name} of the module is an empty tensor (on the meta device) that no hook of accelerate's fills")


def _hooks(module: nn.Module, name: str) -> Iterator[tuple[str, Any]]:
    """The module that holds a tensor and those around it, innermost first: the name below it, and its hook."""
    parts = name.split(".")
    for depth in range(len(parts) - 1, -1, -1):
        path, leaf = ".".join(parts[:depth]), ".".join(parts[depth:])
        hook = getattr(module.get_submodule(path), "_hf_hook", None)
        for one in getattr(hook, "hooks", (hook,)):
            if hasattr(one, "weights_map"):
                yield leaf, one
