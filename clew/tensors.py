"""Files of tensors: read whole, finite and of the kind that is due, and written whole; errors name the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import safetensors
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from clew.files import write_whole


def read_header(path: str | Path) -> dict[str, str]:
    """What the header of a safetensors file says beside its tensors. Raises: ValueError naming a file that is none."""
    try:
        with open_tensors(path) as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _broken(path, error) from error


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and what its header says beside them. Raises: as `read_header`."""
    try:
        with open_tensors(path) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _broken(path, error) from error


def _broken(path: str | Path, error: Exception) -> ValueError:
    size = f"{Path(path).stat().st_size} bytes" if Path(path).is_file() else "there is no such file"
    return ValueError(f"{path} is not a whole safetensors file ({error}; {size}); fetch or save it again")


def check_finite(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raises: ValueError naming the tensor that holds complex numbers, NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_complex():
            raise ValueError(f"{name} in {origin} is of {tensor.dtype}; real numbers are due there")
        bad = int((~tensor.isfinite()).sum()) if tensor.is_floating_point() else 0
        if bad:
            raise ValueError(f"{bad} of the {tensor.numel()} values of {name} in {origin} are not finite (NaN or inf)")


def check_floats(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raises: ValueError naming the tensor that holds anything but finite floats."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name} in {origin} is of {tensor.dtype}; floats are due there")
    check_finite(tensors, origin)


@runtime_checkable
class Tensors(Protocol):
    """A safetensors file that is open: a tensor is read when it is asked for."""

    def keys(self) -> Iterable[str]: ...
    def metadata(self) -> Mapping[str, str] | None: ...
    def get_tensor(self, name: str) -> Tensor: ...


def open_tensors(path: str | Path) -> AbstractContextManager[Tensors]:
    """A safetensors file, mapped into memory. Raises: SafetensorError or OSError for what is none."""
    return cast("AbstractContextManager[Tensors]", safetensors.safe_open(path, framework="pt"))


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> Path:
    """Write one safetensors file whole, `about`, if given, in its header; the tensors are contiguous and share no memory."""
    save = cast("Any", safetensors.torch).save_file  # which is half typed
    return write_whole(path, lambda place: save(dict(tensors), place, metadata=None if about is None else dict(about)))
