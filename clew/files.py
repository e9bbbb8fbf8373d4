"""Writing files whole or not at all, and reading JSON with errors that help."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import safetensors
import safetensors.torch
from torch import Tensor


def write_whole(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Call `write` with a temporary name beside `path`, then rename: a crash leaves the old file as it was.

    Raises: OSError naming `path` when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        write(Path(name))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise OSError(
            error.errno, f"{path} was not written ({error.strerror}); what stood there before is untouched"
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def write_json(path: str | Path, value: Any) -> Path:
    """Save `value` as JSON; floats keep every bit."""
    text = json.dumps(value, allow_nan=False)
    return write_whole(path, lambda temporary: _write_text(temporary, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_text(path: str | Path, text: str) -> Path:
    """Save a text file whole."""
    return write_whole(path, lambda temporary: _write_text(temporary, text))


def read_json(path: str | Path, format: str) -> dict[str, Any]:
    """Read a JSON file of ours whose "format" entry must be `format`.

    Raises: ValueError naming the file, what was expected and what was found.
    """
    value = read_any_json(path, f"; a {format!r} file was expected")
    found = cast("dict[str, Any]", value).get("format") if isinstance(value, dict) else type(value).__name__
    if found != format:
        raise ValueError(f'{path} is not a {format!r} file: its "format" is {found!r}')
    return cast("dict[str, Any]", value)


def read_any_json(path: str | Path, expected: str = "") -> Any:
    """Read a JSON file of anyone's. Raises: ValueError naming the file, and what was expected if that is given."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}){expected}") from error


@runtime_checkable
class Tensors(Protocol):
    """A safetensors file that is open: a tensor is read when it is asked for."""

    def keys(self) -> Iterable[str]: ...
    def metadata(self) -> Mapping[str, str] | None: ...
    def get_tensor(self, name: str) -> Tensor: ...


def open_tensors(path: str | Path) -> AbstractContextManager[Tensors]:
    """A safetensors file, mapped into memory. Raises: SafetensorError or OSError for what is none."""
    return cast("AbstractContextManager[Tensors]", safetensors.safe_open(path, framework="pt"))


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> Path:
    """Write one safetensors file whole, `about` in its header; the tensors are contiguous and share no memory."""
    save = cast("Any", safetensors.torch).save_file  # which is half typed
    return write_whole(path, lambda place: save(dict(tensors), place, metadata=dict(about)))


def cache_folder(*parts: str) -> Path:
    """A folder under $CLEW_CACHE (by default ~/.cache/clew), made if it is not there."""
    root = Path(os.environ.get("CLEW_CACHE") or Path.home() / ".cache" / "clew")
    folder = root.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
