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

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clew.changes import Add
from clew.edits.formats._vectors import check_fit, norms, vectors_of
from clew.files import write_whole
from clew.models import Model
from clew.sites import Site
from clew.stack import Stack

ARCHITECTURE = "controlvector"
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

    Raises: ImportError naming the extra; ValueError for a damaged file, a tensor that is no direction, or one that does not
    fit the model.
    """
    gguf = _gguf()
    try:
        reader = gguf.GGUFReader(path)
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise ValueError(f"{path} is a GGUF file cut short or damaged ({error})") from error
    found = {_site(path, t): torch.from_numpy(np.array(t.data, dtype=np.float32).reshape(-1)) for t in reader.tensors}
    if not found:
        raise ValueError(f"{path} is {KIND} without a direction")
    found = dict(sorted(found.items(), key=lambda item: item[0].order))
    if model is not None:
        check_fit(model, found)
    ours = json.loads(_text(reader, f"{ARCHITECTURE}.clew") or "{}")
    about = {"made_for": _text(reader, f"{ARCHITECTURE}.model_hint"), "norm": norms(found)}
    edits = tuple(Add(site, vector=vector) for site, vector in found.items())
    return Stack(edits, ours.get("name") or path.stem, ours.get("about") or about, ours.get("provenance") or {})


def write(stack: Stack, path: Path, model: Model) -> None:
    """One vector for each layer; reads back bit for bit where it was float32 with scale 1.

    Raises: ValueError naming the edit that such a file cannot hold; ImportError naming the extra.
    """
    found = vectors_of(stack, KIND, ["resid"])
    check_fit(model, found)
    if Site("resid", 0) in found:
        raise ValueError(f"{KIND} cannot hold resid.0: llama.cpp steers block 1 and above. Leave that layer out")
    gguf = _gguf()
    kept = json.dumps({"name": stack.name, "about": dict(stack.about), "provenance": dict(stack.provenance)})

    def save(file: Path) -> None:
        writer = gguf.GGUFWriter(file, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", model.body.module.config.model_type)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(found))
        writer.add_string(f"{ARCHITECTURE}.clew", kept)
        for site, vector in found.items():
            writer.add_tensor(f"direction.{site.layer}", vector.float().numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write_whole(path, save)


def _site(path: Path, tensor: Any) -> Site:
    word, _, layer = tensor.name.partition(".")
    if word != "direction" or not layer.isdigit():
        raise ValueError(f"{path} holds a tensor {tensor.name!r}; {KIND} holds only direction.N")
    if tensor.data.dtype not in (np.float32, np.float16):
        raise ValueError(f"{tensor.name} of {path} is {tensor.tensor_type.name}; {KIND} holds F32")
    return Site("resid", int(layer))


def _text(reader: Any, key: str) -> str:
    field = reader.get_field(key)
    return bytes(field.parts[field.data[0]]).decode("utf-8") if field is not None else ""


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise ImportError(f"{KIND} needs the package gguf: pip install 'clew[gguf]'") from error
    return gguf
