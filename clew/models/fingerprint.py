"""What the weights of a module are: a hash of every byte, and a cheap look at whether they are still the same."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

CHUNK = 1 << 24
"""Bytes that are hashed as one; the hash of a tensor is made of those of its chunks, whoever hashes them."""
LOOKED_AT = 1024
"""About how many values of a tensor are looked at to see whether it has changed."""


def fingerprint(module: nn.Module) -> str:
    """A hash of every byte of the state dict, with names, shapes and dtypes: the same on every machine and device.

    Tensors that share their memory are hashed once. Costs a pass over the weights, on as many threads as there are cores.
    """
    held = tensors_of(module)
    apart = {_place(t): t for t in held.values()}
    chunks = {place: _bytes(t).split(CHUNK) for place, t in apart.items()}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        hashed = {place: threads.map(_digest, some) for place, some in chunks.items()}
        content = {place: hashlib.sha256(b"".join(some)).hexdigest() for place, some in hashed.items()}
    digest = hashlib.sha256(type(module).__name__.encode())
    for name, t in held.items():
        digest.update(f"{name} {tuple(t.shape)} {t.dtype} {content[_place(t)]}\n".encode())
    return digest.hexdigest()[:16]


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """The state dict, without whatever else some layers keep there."""
    return {name: t.detach() for name, t in module.state_dict().items() if isinstance(t, Tensor)}


def _place(t: Tensor) -> tuple[object, ...]:
    """Equal for tensors that are the same memory seen the same way."""
    return t.device, t.data_ptr(), t.dtype, t.shape, t.stride()


def _bytes(t: Tensor) -> Tensor:
    return t.reshape(-1).view(torch.uint8)


def _digest(some: Tensor) -> bytes:
    return hashlib.sha256(some.cpu().numpy().data).digest()


def versions(module: nn.Module) -> tuple[tuple[int, int], ...]:
    """Where each tensor lies and how often torch has changed it in place: changes with whatever an optimiser does."""
    return tuple((t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors_of(module).values())


def stamp(module: nn.Module) -> str:
    """Changes with the weights, at a small part of the cost of their fingerprint: their versions and some of their values.

    torch counts no change made through `tensor.data` or NumPy, so about a thousand evenly spaced values of every tensor
    are looked at, too; fewer changed in that way can be missed.
    """
    digest = hashlib.sha256(repr(versions(module)).encode())
    for t in tensors_of(module).values():
        flat = t.reshape(-1)
        digest.update(_bytes(flat[:: max(1, len(flat) // LOOKED_AT)].contiguous()).cpu().numpy().data)
    return digest.hexdigest()
