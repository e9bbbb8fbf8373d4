"""Our compact form: a quarter of the size, one byte per weight, for dictionaries that travel with a program.

One safetensors file, *.pack.safetensors. A matrix is int8 with a scale per unit (`<name>.scale`, bfloat16: it has the
range of float32, which small encoder rows need): column for column in W_enc [d_in, unit], row for row in the others.
value = int8 * scale, scale = max |row| / 127, so a value is off by at most half a scale. Vectors are float32.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import BFloat16, Float, Int8
from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats import clew
from clew.dictionaries.hooks import Ends
from clew.dictionaries.itda import ITDA
from clew.tensors import check_finite, check_held, read_tensors, write_tensors

VERSION, ENDING = "1", clew.PACK
BY_COLUMN = ("W_enc",)


def matches(path: Path) -> bool:
    """A file with our ending, or a folder of them without other safetensors."""
    if path.is_file():
        return path.name.endswith(ENDING)
    return path.is_dir() and bool(_files(path)) and not clew.matches(path)


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """One dictionary of a file, or all of a folder; float32."""
    return [_read(file, at) for file in ([path] if path.is_file() else _files(path))]


def write(dictionary: Dictionary, path: Path) -> None:
    """Save one dictionary, whole or not at all. Raises: ValueError when `path` has another ending."""
    if not path.name.endswith(ENDING):
        raise ValueError(f"{path} must end in {ENDING}, as in '{dictionary.writes}{ENDING}'")
    tensors: dict[str, Tensor] = {}
    check_finite(dictionary.state_dict(), path.name)
    for name, tensor in dictionary.state_dict().items():
        tensor = tensor.detach().cpu()
        if tensor.ndim == 2:
            rows = tensor.T if name in BY_COLUMN else tensor
            tensors[name], tensors[f"{name}.scale"] = quantised(rows.float())
        else:
            tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_tensors(path, tensors, {"clew pack": VERSION} | clew.header(dictionary))


def quantised(rows: Float[Tensor, "row col"]) -> tuple[Int8[Tensor, "row col"], BFloat16[Tensor, " row"]]:
    """Whole numbers from -127 to 127 and their scales; a row of zeros has scale 0."""
    scale = (rows.abs().amax(dim=1) / 127).bfloat16()
    whole = (rows / scale.float()[:, None]).nan_to_num(0.0)
    return whole.round().clamp(-127, 127).to(torch.int8), scale


def _read(file: Path, at: Ends | None) -> Dictionary:
    held, header = read_tensors(file)
    if header.get("clew pack") != VERSION:
        found = header.get("clew pack")
        raise ValueError(f"the header of {file.name} should say 'clew pack': '{VERSION}' and says {found!r}")
    matrices = [name for name, tensor in held.items() if tensor.ndim == 2]
    vectors = [name for name in held if name not in matrices and not name.endswith(".scale")]
    check_held(held, [*vectors, *matrices, *(f"{name}.scale" for name in matrices)], file.name)
    tensors = {name: held[name] for name in vectors}
    for name in matrices:
        rows = _rows(held[name], held[f"{name}.scale"], f"{name} in {file.name}")
        tensors[name] = rows.T.contiguous() if name in BY_COLUMN else rows
    if header.get("kind") == ITDA.kind and "atoms" in tensors:  # matching pursuit needs rows of length one again
        tensors["atoms"] = torch.nn.functional.normalize(tensors["atoms"], dim=1)
    return clew.built(file, tensors, header, at)


def _rows(whole: Tensor, scale: Tensor, place: str) -> Tensor:
    """A matrix in float32. Raises: ValueError for what `quantised` does not give."""
    check_finite({"scale": scale}, place)
    if (whole.dtype, scale.dtype, scale.shape) != (torch.int8, torch.bfloat16, whole.shape[:1]):
        given = f"{whole.dtype} {list(whole.shape)} and {scale.dtype} {list(scale.shape)}"
        raise ValueError(f"{place} and its scale are {given}; int8 [row, column] and bfloat16 [row] are due there")
    if bool((scale < 0).any()) or bool((whole == -128).any()):
        raise ValueError(f"{place} holds numbers outside -127 to 127, or scales below 0")
    return whole.float() * scale.float()[:, None]


def _files(path: Path) -> list[Path]:
    return sorted(path.glob(f"*{ENDING}"))
