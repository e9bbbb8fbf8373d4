"""What every format needs: tensors out of a file, with errors that say what was expected and what was found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from clew.sites import near


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header metadata of a file. Raises: ValueError when it is truncated or of another kind."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        size = path.stat().st_size
        raise ValueError(
            f"{path.name} is not a whole safetensors file ({error}; {size} bytes); fetch or save it again"
        ) from error


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object. Raises: ValueError naming the file when it is not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} must hold a JSON object, not {type(value).__name__}")
    return value


def need(values: Mapping[str, Any], *names: str, file: str) -> list[Any]:
    """The entries of these names. Raises: ValueError that lists what is missing and what is there."""
    missing = [name for name in names if name not in values]
    if missing:
        there = ", ".join(map(str, sorted(values))) or "nothing"
        raise ValueError(f"{file} has no {' and no '.join(map(repr, missing))}; it holds {there}")
    return [values[name] for name in names]


def check_finite(tensors: Mapping[str, Tensor], file: str) -> None:
    """Raises: ValueError naming the tensor that holds NaN or infinity."""
    for name, tensor in tensors.items():
        bad = int((~tensor.isfinite()).sum()) if tensor.is_floating_point() else 0
        if bad:
            raise ValueError(f"{bad} of the {tensor.numel()} values of {name} in {file} are not finite (NaN or inf)")


def checked(tensors: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """The same tensors, every value finite, the floating ones all in float32, or all in float64 where a matrix is."""
    check_finite(tensors, file)
    matrices = [t for t in tensors.values() if t.is_floating_point() and t.ndim > 1]
    dtype = torch.float64 if any(t.dtype == torch.float64 for t in matrices) else torch.float32
    return {name: t.to(dtype).contiguous() if t.is_floating_point() else t for name, t in tensors.items()}


def refuse(what: str, given: Any, allowed: Mapping[str, Any] | list[str]) -> ValueError:
    """An error for a setting that we do not read."""
    return ValueError(f"{what} {given!r} cannot be read; {near(str(given), list(allowed))}")
