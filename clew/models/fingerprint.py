"""What the weights of a module are: a hash of every byte, and a cheap look at whether they are still the same."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import torch
from torch import Tensor, nn

from clew.models import offloaded
from clew.models.adapters import switched

CHUNK = 1 << 24
"""Bytes that are hashed as one; the hash of a tensor is made of those of its chunks, whoever hashes them."""
PLACE = re.compile(r" at 0x[0-9a-f]+")
"""Where an object lies, as it tells of itself; another in every process."""
LOOKED_AT = 1024
"""About how many values of a tensor are looked at to see whether it has changed."""


def fingerprint(module: nn.Module) -> str:
    """A hash of every byte of the state dict, with names, shapes and dtypes: the same on every machine and device.

    And of what no tensor says: how adapters are switched, and how tensors that are made of several are to be read.

    Tensors that share their memory are hashed once. Costs a pass over the weights, on as many threads as there are cores.
    """
    held = {name: offloaded.held(module, name, t) for name, t in tensors_of(module).items()}
    apart = {_place(t): t for t in held.values()}
    chunks = {place: _bytes(t).split(CHUNK) for place, t in apart.items()}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        hashed = {place: threads.map(_digest, some) for place, some in chunks.items()}
        content = {place: hashlib.sha256(b"".join(some)).hexdigest() for place, some in hashed.items()}
    digest = hashlib.sha256(type(module).__name__.encode())
    for name, t in held.items():
        digest.update(f"{name} {tuple(t.shape)} {t.dtype} {content[_place(t)]}\n".encode())
    digest.update("".join(_unsaid(module)).encode())
    return digest.hexdigest()[:16]


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """The state dict in plain tensors: quantised ones are made of several, and layers may keep some in a tuple."""
    return {name: t for key, value in module.state_dict().items() for name, t in plain(key, value)}


def _unsaid(module: nn.Module) -> Iterator[str]:
    """What decides what a module computes, beside its config, and is in none of its tensors; nothing for most."""
    yield from switched(module)
    for path, t in module.named_parameters():
        if hasattr(t, "__tensor_flatten__"):
            how = cast("Any", t).__tensor_flatten__()[1]
            yield f"{path} {type(t).__name__} {PLACE.sub('', repr(how))}\n"


def plain(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """What holds the numbers of a tensor: itself, or its parts; nothing for what is no tensor."""
    if isinstance(value, tuple | list):
        for i, one in enumerate(cast("Sequence[Any]", value)):
            yield from plain(f"{name}.{i}", one)
    elif isinstance(value, Tensor) and hasattr(value, "__tensor_flatten__"):
        for part in cast("Any", value).__tensor_flatten__()[0]:
            yield from plain(f"{name}.{part}", getattr(value, part))
    elif isinstance(value, Tensor) and value.is_quantized:
        yield f"{name}.int", value.int_repr()
        yield f"{name}.float", value.dequantize()
    elif isinstance(value, Tensor):
        yield name, value.detach()


def _place(t: Tensor) -> tuple[object, ...]:
    """Equal for tensors that are the same memory seen the same way."""
    return t.device, t.data_ptr(), t.dtype, t.shape, t.stride()


def _bytes(t: Tensor) -> Tensor:
    return t.reshape(-1).view(torch.uint8)


def _digest(some: Tensor) -> bytes:
    return hashlib.sha256(some.cpu().numpy().data).digest()


def versions(module: nn.Module) -> tuple[tuple[int, int], ...]:
    """Where each tensor lies and how often torch has changed it in place: changes with whatever an optimiser does."""
    stored = (t for _, value in _stored(module) for _, t in plain("", value))
    return tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in stored)


def _stored(module: nn.Module) -> Iterator[tuple[str, Tensor | None]]:
    """Of the state dict what the modules hold; some layers make the rest when they are asked, each time anew."""
    for m in module.modules():
        yield from m._parameters.items()
        yield from ((name, t) for name, t in m._buffers.items() if name not in m._non_persistent_buffers_set)


def stamp(module: nn.Module) -> str:
    """Changes with the weights, at a small part of the cost of their fingerprint: their versions and some of their values.

    torch counts no change made through `tensor.data` or NumPy, so about a thousand evenly spaced values of every tensor
    are looked at, too; fewer changed in that way can be missed.
    """
    digest = hashlib.sha256(repr((versions(module), *_unsaid(module))).encode())
    for t in tensors_of(module).values():
        if t.is_meta:
            continue  # on disk, where nothing of ours writes
        flat = t.reshape(-1)
        digest.update(_bytes(flat[:: max(1, len(flat) // LOOKED_AT)].contiguous()).cpu().numpy().data)
    return digest.hexdigest()
