"""Gemma Scope: JumpReLU dictionaries as params.npz (first series) or params.safetensors with config.json (second).

Names are W_enc [d_in, unit], b_enc, W_dec [unit, d_out], b_dec, threshold, in either case. b_dec is not
taken off the input. Lieberum et al. 2024, arXiv:2408.05147.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clew.archives import read_npz
from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._tensors import made, pick, read_config, refuse
from clew.dictionaries.hooks import Ends, ends
from clew.dictionaries.jumprelu import JumpReLU
from clew.files import entry, entry_or
from clew.tensors import read_tensors

FIRST, SECOND, CONFIG = "params.npz", "params.safetensors", "config.json"

FOLDERS = {
    "resid_post": ("output", None),
    "attn_out": ("self_attn.o_proj.input", None),
    "mlp_out": ("post_feedforward_layernorm.output", None),
    "transcoder": ("pre_feedforward_layernorm.output", "post_feedforward_layernorm.output"),
}
"""Folders of the second series, as in resid_post/layer_12_width_16k_l0_small: what is read and what is written."""

REPOSITORY = r"gemma-scope-\d+b-[a-z]+-(res|att|mlp|transcoders)\b"
FIRST_PARTS = {
    "res": ("hook_resid_post", None),
    "att": ("attn.hook_z", None),
    "mlp": ("hook_mlp_out", None),
    "transcoders": ("ln2.hook_normalized", "hook_mlp_out"),
}
"""Repositories of the first series, as in gemma-scope-2b-pt-res/layer_20/width_16k/average_l0_71: likewise."""

HOOKS = ("hf_hook_point_in", "hf_hook_point_out")
SAID = (*HOOKS, "architecture", "affine_connection")
TENSORS = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
SKIP = "affine_skip_connection"


def matches(path: Path) -> bool:
    """An .npz file, or a folder with params.npz or with params.safetensors."""
    return (path.is_file() and path.suffix == ".npz") or (path / FIRST).is_file() or (path / SECOND).is_file()


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """One dictionary. `at` is needed where neither config nor path says the site: `mlp_in.3 -> mlp.3` for a transcoder.

    A dictionary of the first series for `embed` was trained on the embedding before Gemma multiplies it
    by sqrt(d); I fold that factor, because our `embed` is what enters the first block.
    Raises: ValueError for a cross-layer transcoder.
    """
    config: dict[str, Any] = {}
    if (path / SECOND).is_file():
        config = read_config(path / CONFIG, SAID) if (path / CONFIG).is_file() else {}
        if entry_or(config, "architecture", str, "jump_relu", origin=CONFIG) != "jump_relu":
            raise refuse("architecture", config["architecture"], ["jump_relu"])
        file, held = SECOND, read_tensors(path / SECOND)[0]
    else:
        file = path.name if path.is_file() else FIRST
        held = read_npz(path if path.is_file() else path / FIRST)
    weights = _weights(held, config, file)
    inward, outward = _hooks(path, config)
    spans = outward not in (None, inward) if inward else at is not None and at[0] != at[1]
    reads, writes = ends(at, inward, outward, spans=spans)
    if writes.part == "embed" and not config:
        root = weights["W_enc"].shape[0] ** 0.5
        weights["W_enc"], weights["W_dec"] = weights["W_enc"] / root, weights["W_dec"] * root
        weights["b_dec"] = weights["b_dec"] * root
    return [made(file, JumpReLU, reads, writes, centred=False, **weights, format="gemma_scope", config=config)]


def _weights(held: Mapping[str, Tensor], config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The tensors under our names, whatever their case, with the skip that the config speaks of."""
    lower = {name.lower(): tensor for name, tensor in held.items()}
    if len(lower) < len(held):
        raise ValueError(f"{file} names a tensor twice: {', '.join(sorted(held))}")
    if "w_dec" in lower and lower["w_dec"].ndim == 3:
        shape = tuple(lower["w_dec"].shape)
        raise ValueError(f"w_dec in {file} has shape {shape}: it writes many layers; a dictionary of ours writes one")
    if entry_or(config, "affine_connection", bool, SKIP in lower, origin=CONFIG) != (SKIP in lower):
        raise ValueError(
            f"{CONFIG} says affine_connection = {config['affine_connection']}; {file} holds {', '.join(lower)}"
        )
    names = {name: name.lower() for name in TENSORS} | ({"W_skip": SKIP} if SKIP in lower else {})
    given = {theirs.lower(): theirs for theirs in held}
    return dict(pick(held, {ours: given.get(theirs, ours) for ours, theirs in names.items()}, file))


def _hooks(path: Path, config: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The modules it reads and writes: from its config, or where that is missing from the folders of its series."""
    if any(hook in config for hook in HOOKS):
        inward, outward = (entry(config, hook, str, origin=CONFIG) for hook in HOOKS)
        return inward, outward
    if config:
        return None, None
    return _second(path) if (path / SECOND).is_file() else _first(path)


def _first(path: Path) -> tuple[str | None, str | None]:
    """Of the first series the folders, or the snapshot of a hub's cache, say the layer and the repository the part."""
    names = path.absolute().parts
    kind = next((found[1] for name in names[::-1] if (found := re.search(REPOSITORY, name))), None)
    layer = next((found[1] for name in names[::-1] if (found := re.fullmatch(r"layer_([0-9]+)", name))), None)
    if kind == "res" and "embedding" in names:
        return "embed", None
    if kind is None or layer is None:
        return None, None
    inward, outward = FIRST_PARTS[kind]
    return f"blocks.{layer}.{inward}", outward and f"blocks.{layer}.{outward}"


def _second(path: Path) -> tuple[str | None, str | None]:
    layer, folder = re.match(r"layer_([0-9]+)_", path.absolute().name), path.absolute().parent.name
    part = next((part for part in FOLDERS if folder.startswith(part)), None)
    if layer is None or part is None:
        return None, None
    inward, outward = FOLDERS[part]
    return f"model.layers.{layer[1]}.{inward}", outward and f"model.layers.{layer[1]}.{outward}"
