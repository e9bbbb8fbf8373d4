"""Archives that hold tensors, torch's and numpy's: never unpickled as objects, never inflated to see what they are.

Torch looks at no checksum of its own files, and both believe whatever sizes a file claims; here both are looked at first.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from clew.files import DAMAGE, whole

ROOM, RATIO = 1 << 24, 100
"""A member may be of so many bytes, and beyond that of so many times what it takes in the file: weights hardly shrink."""
HEAD = 1 << 16
"""How far a file is looked into to see what it is."""


def read_torch(path: Path, *, skip: int = 0) -> Any:
    """What torch.save wrote after the first `skip` bytes, tensors and plain values only.

    Raises: ValueError naming a file that holds Python objects, which could run code, and one that is not whole.
    """
    size = path.stat().st_size
    with whole(path, f"torch file of {size} bytes"):
        content = io.BytesIO(path.read_bytes()[skip:]) if skip else path
        if zipfile.is_zipfile(content):
            _check(content)
        if isinstance(content, io.BytesIO):
            content.seek(0)
        try:
            held = cast("Any", torch).load(content, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise ValueError(
                f"{path} holds Python objects or is not a torch file; loading it would run code from the file, so it is "
                "refused. Where it was made, save the tensors alone: torch.save(made.state_dict(), ...)"
            ) from error
        for tensor in _tensors(held):
            _check_tensor(tensor, size)
        return held


def read_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of numpy's savez by name. Raises: ValueError naming a file that is none, or holds Python objects."""
    with whole(path, "archive of numbers"):
        _check(path)
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy"): _array(archive.read(name), name) for name in archive.namelist()}


def mentions(path: Path, word: bytes) -> bool:
    """Whether the pickle of a torch file has the word near its beginning; nothing is unpickled."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return word in file.read(HEAD)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith("data.pkl")]
            return any(word in archive.open(name).read(HEAD) for name in names)
    except (OSError, *DAMAGE):  # whoever reads it says why
        return False


def _check(content: Path | io.BytesIO) -> None:
    """Raises: ValueError for an archive with two members of one name, one far larger than the file, or one that changed."""
    with zipfile.ZipFile(content) as archive:
        members = archive.infolist()
        if len({member.filename for member in members}) < len(members):
            raise ValueError("two of its members have one name")
        for member in members:
            if member.file_size > max(ROOM, RATIO * member.compress_size):
                raise ValueError(f"{member.filename} would be {member.file_size} bytes, from {member.compress_size}")
        if changed := archive.testzip():
            raise ValueError(f"the checksum of {changed} does not fit")


def _array(held: bytes, name: str) -> Tensor:
    content = io.BytesIO(held)
    array = np.lib.format.read_array(content, allow_pickle=False)
    if content.read(1):
        raise ValueError(f"{name} goes on after its last number")
    return torch.from_numpy(array)


def _tensors(held: Any) -> Iterator[Tensor]:
    if isinstance(held, Tensor):
        yield held
    elif isinstance(held, Mapping | list | tuple):
        for inner in held.values() if isinstance(held, Mapping) else held:
            yield from _tensors(inner)


def _check_tensor(tensor: Tensor, size: int) -> None:
    """Raises: ValueError for a tensor of another layout, or one that repeats its values to be larger than its file."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise ValueError(f"it holds a tensor of layout {tensor.layout} on {tensor.device}; plain ones are due")
    if tensor.numel() * tensor.element_size() > size:
        raise ValueError(f"it holds a tensor of shape {list(tensor.shape)}, larger than the file")
