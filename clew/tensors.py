"""Files of tensors: read whole, finite and of the kind that is due, and written whole; errors name the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np
import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from clew.files import entries, entry, parse_json, typed, write_whole

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""What weights may be of: complex numbers, whole ones and floats of a byte are none."""
SUM = "sum"
"""The entry of a header of ours that holds a hash of all the others."""
NUMPY = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U64": "u8",
    "U32": "u4",
    "U16": "u2",
    "U8": "u1",
}
"""Kinds of numbers in a file, as numpy calls them."""
ALIGNED = 64
"""Bytes at a multiple of which torch puts a tensor."""


# Reading.


@runtime_checkable
class Tensors(Protocol):
    """A safetensors file that is open: a tensor is read when it is asked for."""

    def keys(self) -> Iterable[str]: ...
    def get_tensor(self, name: str) -> Tensor: ...


@contextmanager
def open_tensors(path: str | Path) -> Generator[Tensors]:
    """A safetensors file, mapped into memory. Raises: ValueError naming one that is none, or is not whole."""
    try:
        read_header(path)
        opened = cast("Any", safetensors).safe_open(path, framework="pt")
    except (SafetensorError, OSError, RuntimeError) as error:  # the last where another process has just taken it away
        raise _broken(path, error) from error
    try:
        with opened as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise _broken(path, error) from error


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and what its header says beside them. Raises: as `open_tensors`.

    They lie in memory as those that are made there, wherever they lie in the file: else sums would round otherwise.
    """
    with open_tensors(path) as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        aligned = {name: t if t.data_ptr() % ALIGNED == 0 else t.clone() for name, t in held.items()}
    return aligned, read_header(path)


def map_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file as numpy's arrays, mapped into memory and not to be written to.

    What is not looked at is not read, and a look costs microseconds. Raises: as `open_tensors`; for a type of number that
    numpy lacks.
    """
    with open_tensors(path):  # which sees to it that the tensors lie side by side and fill the file
        pass
    held, start = _read_head(path)
    held.pop("__metadata__", None)
    bytes = (
        np.asarray(np.memmap(path, mode="r", offset=start)) if Path(path).stat().st_size > start else np.zeros(0, "u1")
    )
    found: dict[str, np.ndarray] = {}
    for name, said in held.items():
        dtype, shape = _kind(said, f"{path}: {name}")
        if dtype not in NUMPY:
            raise ValueError(f"{name} in {path} is of {dtype}; numbers of numpy's are due there: {', '.join(NUMPY)}")
        first, last = entries(said, "data_offsets", int, origin=f"{path}: {name}", at_least=0)
        found[name] = bytes[first:last].view(NUMPY[dtype]).reshape(shape)
    return found


def read_header(path: str | Path) -> dict[str, str]:
    """What the header of a safetensors file says beside its tensors. Raises: as `open_tensors`."""
    return _head(path).said


def is_signed(path: str | Path) -> bool:
    """Whether a file holds the sum of its header, as all do that `write_tensors` has written since 0.2."""
    return _head(path).signed


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a safetensors file, by its header; no tensor is read. Raises: as `open_tensors`."""
    return {name: tuple(shape) for name, (_, shape) in _head(path).kinds.items()}


Kinds = dict[str, tuple[str, list[int]]]
"""Type and shape of each tensor."""


class _Head(NamedTuple):
    """A header: what it says of each tensor, what it says beside, and whether it holds a sum of that."""

    kinds: Kinds
    said: dict[str, str]
    signed: bool


def _head(path: str | Path) -> _Head:
    """Raises: ValueError for a header that is none, or another than was written."""
    try:
        head, _ = _read_head(path)
        told = typed(head.pop("__metadata__", {}), "its header: __metadata__", dict)
        said = {name: typed(text, f"its header: {name}", str) for name, text in told.items()}
        kinds = {name: _kind(held, f"its header: {name}") for name, held in head.items()}
        sum = said.pop(SUM, None)
        if sum is not None and sum != _sum(kinds, said):
            raise ValueError("its header has changed since it was written")
        return _Head(kinds, said, sum is not None)
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error


def _read_head(path: str | Path) -> tuple[dict[str, Any], int]:
    """The header as it stands there, and where the tensors begin."""
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            raise ValueError(f"its header should be {length} bytes long")
        return typed(parse_json(file.read(length).decode(), "its header"), "its header", dict), 8 + length


def _kind(held: Any, place: str) -> tuple[str, list[int]]:
    return entry(held, "dtype", str, origin=place), entries(held, "shape", int, origin=place, at_least=0)


def _sum(kinds: Kinds, said: Mapping[str, str]) -> str:
    """A hash of all that a header says, but for where the tensors lie in the file."""
    text = json.dumps([{name: list(kind) for name, kind in kinds.items()}, dict(said)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _broken(path: str | Path, error: Exception) -> ValueError:
    size = f"{Path(path).stat().st_size} bytes" if Path(path).is_file() else "there is no such file"
    return ValueError(f"{path} is not a whole safetensors file ({error}; {size}); fetch or save it again")


# Checking.


def check_finite(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raises: ValueError naming the tensor that holds complex numbers, NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_complex() or (tensor.is_floating_point() and tensor.dtype not in FLOATS):
            raise ValueError(f"{name} in {origin} is of {tensor.dtype}; real numbers are due there")
        bad = int((~tensor.isfinite()).sum()) if tensor.is_floating_point() else 0
        if bad:
            raise ValueError(f"{bad} of the {tensor.numel()} values of {name} in {origin} are not finite (NaN or inf)")


def check_floats(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raises: ValueError naming the tensor that holds anything but finite floats, or nothing."""
    for name, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise ValueError(f"{name} in {origin} is of {tensor.dtype}; floats are due there")
        if not tensor.numel():
            raise ValueError(f"{name} in {origin} is empty: its shape is {list(tensor.shape)}")
    check_finite(tensors, origin)


def check_flags(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raises: ValueError naming the tensor that holds anything but true and false."""
    for name, tensor in tensors.items():
        if tensor.dtype != torch.bool or bool((tensor.view(torch.uint8) > 1).any()):
            raise ValueError(f"{name} in {origin} is of {tensor.dtype}; true and false are due there")


def check_held(held: Collection[str], wanted: Collection[str], origin: str) -> None:
    """Raises: ValueError unless these are the names of the tensors that are due, all of them and no other."""
    if missing := sorted(set(wanted) - set(held)):
        there = ", ".join(sorted(held)) or "nothing"
        raise ValueError(f"{origin} has no {' and no '.join(map(repr, missing))}; it holds {there}")
    if unknown := sorted(set(held) - set(wanted)):
        raise ValueError(f"{origin} also holds {', '.join(unknown)}, and we do not know what it does with them")


# Writing.


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> Path:
    """Write one safetensors file whole, with `about` in its header; the tensors are contiguous and share no memory.

    The same tensors make the same bytes. The header holds a sum of all it says, by which the reader knows that no tensor
    and no word of it has gone, come or changed.
    """

    def write(place: Path) -> None:
        writer_of_tensors(tensors, about)(place)
        _sign(place)

    return write_whole(path, write)


def writer_of_tensors(tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> Callable[[Path], None]:
    """What writes these where it is told to, as any other library would."""
    save = cast("Any", safetensors.torch).save_file  # which is half typed

    def write(place: Path) -> None:
        save(dict(tensors), place, metadata={SUM: "0" * 64, **about} if about is not None else None)

    return write


def _sign(place: Path) -> None:
    """Put the sum into a header, and its entries in order: safetensors writes them in any."""
    with place.open("rb+") as file:
        length = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(length))
        said = {name: text for name, text in head.pop("__metadata__").items() if name != SUM}
        signed = {SUM: _sum({n: (held["dtype"], held["shape"]) for n, held in head.items()}, said)}
        whole = {"__metadata__": dict(sorted({**said, **signed}.items())), **head}
        text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(text) <= length, "a sum is as long as the zeros in its place"
        file.seek(8)
        file.write(text.ljust(length))
