"""Gemma Scope: JumpReLU dictionaries as params.npz (first series) or params.safetensors with config.json (second).

Names are W_enc [d_in, unit], b_enc, W_dec [unit, d_out], b_dec, threshold, in either case. b_dec is not
taken off the input. Lieberum et al. 2024, arXiv:2408.05147.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._hooks import Ends, ends
from clew.dictionaries.formats._tensors import checked, need, read_config, refuse
from clew.dictionaries.jumprelu import JumpReLU
from clew.tensors import read_tensors

FIRST, SECOND, CONFIG = "params.npz", "params.safetensors", "config.json"

FOLDERS = {
    "resid_post": ("output", None),
    "attn_out": ("self_attn.o_proj.input", None),
    "mlp_out": ("post_feedforward_layernorm.output", None),
    "transcoder": ("pre_feedforward_layernorm.output", "post_feedforward_layernorm.output"),
}
"""Folders of the second series, as in resid_post/layer_12_width_16k_l0_small: what is read and what is written."""


def matches(path: Path) -> bool:
    """An .npz file, or a folder with params.npz or with params.safetensors."""
    return (path.is_file() and path.suffix == ".npz") or (path / FIRST).is_file() or (path / SECOND).is_file()


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """One dictionary. The first series does not say its site, so `at` is needed: `mlp_in.3 -> mlp.3` for a transcoder.

    A dictionary of the first series for `embed` was trained on the embedding before Gemma multiplies it
    by sqrt(d); I fold that factor, because our `embed` is what enters the first block.
    Raises: ValueError for a cross-layer transcoder.
    """
    config: dict[str, str] = {}
    if (path / SECOND).is_file():
        config = read_config(path / CONFIG) if (path / CONFIG).is_file() else {}
        if config.get("architecture", "jump_relu") != "jump_relu":
            raise refuse("architecture", config["architecture"], ["jump_relu"])
        file, held = SECOND, read_tensors(path / SECOND)[0]
    else:
        file = path.name if path.is_file() else FIRST
        held = _read_npz(path if path.is_file() else path / FIRST)
    tensors = checked({name.lower(): tensor for name, tensor in held.items()}, file)
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    weights = dict(zip(names, need(tensors, *(name.lower() for name in names), file=file), strict=True))
    if weights["W_dec"].ndim == 3:
        shape = tuple(weights["W_dec"].shape)
        raise ValueError(f"w_dec in {file} has shape {shape}: it writes many layers; a dictionary of ours writes one")
    inward, outward = _hooks(path, config)
    spans = outward not in (None, inward) if inward else at is not None and at[0] != at[1]
    reads, writes = ends(at, inward, outward, spans=spans)
    if writes.part == "embed" and not config:
        root = weights["W_enc"].shape[0] ** 0.5
        weights["W_enc"], weights["W_dec"] = weights["W_enc"] / root, weights["W_dec"] * root
        weights["b_dec"] = weights["b_dec"] * root
    meta = {"format": "gemma_scope", "config": config}
    return [JumpReLU(reads, writes, centred=False, W_skip=tensors.get("affine_skip_connection"), **weights, **meta)]


def _hooks(path: Path, config: dict[str, str]) -> tuple[str | None, str | None]:
    """The modules it reads and writes: from its config, or where that is missing from the second series' folders."""
    if config:
        return config.get("hf_hook_point_in"), config.get("hf_hook_point_out")
    if not (path / SECOND).is_file():
        return None, None
    layer, folder = re.match(r"layer_(\d+)_", path.absolute().name), path.absolute().parent.name
    part = next((part for part in FOLDERS if folder.startswith(part)), None)
    if layer is None or part is None:
        return None, None
    inward, outward = FOLDERS[part]
    return f"model.layers.{layer[1]}.{inward}", outward and f"model.layers.{layer[1]}.{outward}"


def _read_npz(file: Path) -> dict[str, Tensor]:
    """An npz is a zip of arrays; I read them one by one, so that an array of Python objects is never opened."""
    try:
        with zipfile.ZipFile(file) as archive:
            arrays = {}
            for name in archive.namelist():
                with archive.open(name) as member:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
            return {name: torch.from_numpy(array) for name, array in arrays.items()}
    except (zipfile.BadZipFile, ValueError, EOFError, TypeError) as error:
        raise ValueError(f"{file.name} is not a whole archive of numbers ({error}); fetch it again") from error
