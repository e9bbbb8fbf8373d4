"""GGUF control vectors, as repeng writes them and llama.cpp applies them.

The architecture is "controlvector"; the keys `controlvector.model_hint` (a model type) and `controlvector.layer_count`
(how many vectors) are for people, and llama.cpp reads neither. A tensor `direction.N`, float32 [d_model], is added at every
position to the output of block N, counted from 0: in repeng to what the N-th of the model's layers returns, in llama.cpp
right after the last sum of block N (`build_cvec`). So `direction.N` is `resid.N`. llama.cpp keeps no row for block 0 and
refuses a file with `direction.0`, so `resid.0` is read (repeng may write it) but never written.

Norm: repeng's directions are unit vectors (components of a PCA), so its strengths, often 1 to 2, are lengths in the
stream. A file has no scale of its own; what is written is the edit's scale times its vector, in float32, so that
strength 1 in llama.cpp (`--control-vector FILE`) is the edit. Name, notes and provenance travel in the key
`controlvector.clew`, which others pass over. Checked against repeng 0.4.0: it reads what is written here and gives the
same logits, bit for bit, and what it writes is read back with the bits it had.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clew.changes import Add
from clew.edits.formats._gguf import read_gguf
from clew.edits.formats._vectors import check_fit, kept_of, norms, stack_of, vectors_of
from clew.files import write_whole
from clew.models import Model
from clew.sites import Site
from clew.stack import Stack
from clew.tensors import check_floats

ARCHITECTURE = "controlvector"
KEPT = f"{ARCHITECTURE}.clew"
KIND = "a GGUF control vector"


def matches(path: Path) -> bool:
    """A GGUF file whose head names the architecture."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(4096)
    return head[:4] == b"GGUF" and b"general.architecture" in head and ARCHITECTURE.encode() in head


def read(path: Path, model: Model | None = None) -> Stack:
    """An Add at `resid.N` for each `direction.N`, with scale 1.

    Raises: ValueError for a damaged file, a tensor that is no direction, or one that does not fit the model.
    """
    said, tensors = read_gguf(path)
    found = {_site(path, name): _vector(path, name, held) for name, held in tensors.items()}
    if not found or len(found) < len(tensors):
        raise ValueError(f"{path} is {KIND} {'with two directions of one layer' if found else 'without a direction'}")
    count = said.get(f"{ARCHITECTURE}.layer_count", len(found))
    if type(count) is not int or count != len(found):
        raise ValueError(
            f"{path} is cut short or damaged: it should hold {count!r:.40} directions and holds {len(found)}"
        )
    found = dict(sorted(found.items(), key=lambda item: item[0].order))
    if model is not None:
        check_fit(model, found)
    edits = tuple(Add(site, vector=vector) for site, vector in found.items())
    hint = said.get(f"{ARCHITECTURE}.model_hint", "")
    about = {"made_for": hint, "norm": norms(found)}
    return stack_of(edits, said.get(KEPT), path, about)


def write(stack: Stack, path: Path, model: Model) -> None:
    """One vector for each layer; reads back bit for bit where it was float32 with scale 1.

    Raises: ValueError naming the edit that such a file cannot hold; ImportError naming the extra.
    """
    found = vectors_of(stack, KIND, ["resid"])
    check_fit(model, found)
    if Site("resid", 0) in found:
        raise ValueError(f"{KIND} cannot hold resid.0: llama.cpp steers block 1 and above. Leave that layer out")
    gguf = _gguf()
    kept = kept_of(stack)

    def save(file: Path) -> None:
        writer = gguf.GGUFWriter(file, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", model.body.module.config.model_type)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(found))
        writer.add_string(KEPT, kept)
        for site, vector in found.items():
            writer.add_tensor(f"direction.{site.layer}", vector.float().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write_whole(path, save)


def _site(path: Path, name: str) -> Site:
    found = re.fullmatch(r"direction\.([0-9]+)", name)
    if found is None:
        raise ValueError(f"{path} holds a tensor {name!r}; {KIND} holds only direction.N")
    return Site("resid", int(found[1]))


def _vector(path: Path, name: str, held: np.ndarray) -> Tensor:
    if held.ndim != 1 or held.dtype not in (np.float32, np.float16):
        raise ValueError(f"{name} of {path} is {held.dtype} {list(held.shape)}; {KIND} holds vectors of F32")
    vector = torch.from_numpy(held.astype(np.float32))
    check_floats({name: vector}, str(path))
    return vector


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise ImportError(f"{KIND} needs the package gguf: pip install 'clew[gguf]'") from error
    return gguf
