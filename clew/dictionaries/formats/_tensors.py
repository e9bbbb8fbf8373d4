"""What every format needs: tensors out of a file, with errors that say what was expected and what was found."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from clew.dictionaries.dictionary import Learned
from clew.files import lines, parse_json, read_text
from clew.near import near
from clew.tensors import check_finite


def read_torch(file: Path, *, skip: int = 0) -> Any:
    """What torch.save wrote after the first `skip` bytes, tensors and plain values only.

    Raises: ValueError for a file that holds Python objects, which could run code, and for one that is not whole.
    """
    try:
        return torch.load(BytesIO(file.read_bytes()[skip:]) if skip else file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{file.name} holds Python objects or is not a torch file; loading it would run code from the file, so it "
            "is refused. Where it was made, save the tensors alone: torch.save(ae.state_dict(), ...)"
        ) from error
    except (RuntimeError, EOFError, zipfile.BadZipFile) as error:
        size = file.stat().st_size
        raise ValueError(f"{file.name} is not a whole torch file ({error}; {size} bytes); fetch it again") from error


def read_flat_yaml(path: Path) -> dict[str, Any]:
    """The `key: value` lines of a YAML file that start at its left margin; what is nested below a key is left out."""
    held: dict[str, Any] = {}
    for _, line in lines(read_text(path)):
        found = re.fullmatch(r"([\w-]+):\s+(\S.*?)\s*", line.partition(" #")[0])
        if found:
            held[found[1]] = _yaml_value(found[2])
    return held


def _yaml_value(text: str) -> str | int | float | bool | None:
    words = {"null": None, "~": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip("'\"")


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object. Raises: ValueError naming the file when it is not one."""
    value = parse_json(read_text(path, "JSON"), path.name)
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


def checked(tensors: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """The same tensors, every value finite, the floating ones all in float32, or all in float64 where a matrix is."""
    check_finite(tensors, file)
    matrices = [t for t in tensors.values() if t.is_floating_point() and t.ndim > 1]
    dtype = torch.float64 if any(t.dtype == torch.float64 for t in matrices) else torch.float32
    return {name: t.to(dtype).contiguous() if t.is_floating_point() else t for name, t in tensors.items()}


def pick(held: Mapping[str, Any], names: Mapping[str, str], file: str, *, turned: str = "") -> dict[str, Tensor]:
    """Tensors under our names, from {our name: theirs}; those of ours that `turned` lists are stored transposed."""
    found = checked(dict(zip(names, need(held, *names.values(), file=file), strict=True)), file)
    return {name: t.T.contiguous() if name in turned.split() else t for name, t in found.items()}


def bias(dictionary: Learned, *, centred: bool) -> Tensor:
    """The b_enc that gives the same code when b_dec is taken off x first (`centred`), or is not."""
    b_enc = torch.zeros_like(dictionary.W_enc[0]) if dictionary.b_enc is None else dictionary.b_enc
    shift = dictionary.b_dec @ dictionary.W_enc if centred != dictionary.centred else torch.zeros_like(b_enc)
    return b_enc + shift if centred else b_enc - shift


def refuse(what: str, given: Any, allowed: Mapping[str, Any] | list[str]) -> ValueError:
    """An error for a setting that we do not read."""
    return ValueError(f"{what} {given!r} cannot be read; {near(str(given), list(allowed))}")
