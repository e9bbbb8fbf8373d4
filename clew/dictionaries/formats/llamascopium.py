"""llamascopium (OpenMOSS), and what was published with it under its earlier name: Llama Scope and its R1 distillates.

Llama Scope is a folder with hyperparams.json and checkpoints/final.safetensors; the others are one with config.json
and sae_weights.safetensors (or .pt). The older files call their tensors encoder.weight, the newer ones W_E.

They encode scaled activations: f = p where p |d_i| > threshold, else 0, with p = s_in x W_enc + b_enc, s = sqrt(d) /
(the mean norm at the hook), |d_i| the norm of the unit's decoder row where the config counts it; y = (f W_dec +
b_dec) / s_out. Codes here are theirs, f; the scales are folded into W_enc, W_dec and b_dec. Top-k ranks p |d_i|, so
there I fold |d_i| too, and the codes are f_i |d_i|. The single threshold of Llama Scope is in units of unscaled
activations, so it is multiplied by s_in (as its authors do in SAELens, pull request 483).
He et al. 2024, arXiv:2410.20526; https://github.com/OpenMOSS/Language-Model-SAEs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clew.archives import read_torch
from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._tensors import check_sizes, made, pick, read_config, refuse
from clew.dictionaries.hooks import Ends, ends
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.dictionaries.topk import TopK
from clew.files import entry, entry_or, typed
from clew.tensors import read_tensors

SCOPE, CONFIG = "hyperparams.json", "config.json"
WEIGHTS = ("checkpoints/final.safetensors", "sae_weights.safetensors", "sae_weights.pt")

NEW = {"W_enc": "W_E", "b_enc": "b_E", "W_dec": "W_D", "b_dec": "b_D"}
OLD = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight", "b_dec": "decoder.bias"}
NORM = "dataset_average_activation_norm"
LOGS = ("activation_function.log_jumprelu_threshold", "log_jumprelu_threshold")
SETTINGS = (
    "sae_type",
    "use_glu_encoder",
    "use_decoder_bias",
    "apply_decoder_bias_to_pre_encoder",
    "sparsity_include_decoder_norm",
    "act_fn",
    "jump_relu_threshold",
    "top_k",
    "norm_activation",
    "hook_point_in",
    "hook_point_out",
    "d_model",
    "d_sae",
    NORM,
)
Said = Callable[..., Any]
"""What the config says under a name, of a kind, or else a default."""


def matches(path: Path) -> bool:
    """A folder with hyperparams.json, or with config.json beside sae_weights (cfg.json would make it SAELens')."""
    if (path / SCOPE).is_file():
        return True
    weights = any((path / name).exists() for name in (*WEIGHTS[1:], "sae_weights.dcp"))
    return weights and (path / CONFIG).is_file() and not (path / "cfg.json").is_file()


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """The one dictionary of a folder.

    Raises: ValueError for cross-coders, cross-layer transcoders, Lorsa and MOLT, gated (GLU) encoders, activations
    normalised token by token, and BatchTopK, which is saved without a threshold.
    """
    config_file = SCOPE if (path / SCOPE).is_file() else CONFIG
    config = read_config(path / config_file, SETTINGS)
    said = partial(entry_or, config, origin=config_file)
    if said("sae_type", str, "sae") != "sae":
        raise refuse("sae_type", config["sae_type"], ["sae"])
    if said("use_glu_encoder", bool, False):
        raise ValueError("its encoder is multiplied by a gate of its own (use_glu_encoder), which we do not have")
    hooks = {end: entry(config, f"hook_point_{end}", str, origin=config_file) for end in ("in", "out")}
    held, file = _weights(path)
    tensors, logs = _tensors(held, file, hooks, with_bias=said("use_decoder_bias", bool, True))
    into, out = (_scale(said, held, *end, d=len(tensors["W_enc"])) for end in hooks.items())
    if said("apply_decoder_bias_to_pre_encoder", bool, False):
        tensors["b_enc"] = tensors["b_enc"] - tensors["b_dec"] @ tensors["W_enc"]
    length = tensors["W_dec"].norm(dim=1) if said("sparsity_include_decoder_norm", bool, True) else None
    cls, settings = _activation(said, logs, tensors, length, into, file)
    tensors["W_enc"], tensors["W_dec"], tensors["b_dec"] = (
        tensors["W_enc"] * into,
        tensors["W_dec"] / out,
        tensors["b_dec"] / out,
    )
    reads, writes = ends(at, *hooks.values(), spans=hooks["in"] != hooks["out"])
    found = made(file, cls, reads, writes, centred=False, **tensors, **settings, format="llamascopium", config=config)
    check_sizes(found, config, config_file, d_in="d_model", n_units="d_sae")
    return [found]


def _tensors(
    held: Mapping[str, Any], file: str, hooks: Mapping[str, str], *, with_bias: bool
) -> tuple[dict[str, Tensor], Tensor | None]:
    """The weights under our names, and the logarithms of the thresholds where there are any."""
    new = "W_E" in held
    names = {ours: theirs for ours, theirs in (NEW if new else OLD).items() if with_bias or ours != "b_dec"}
    if (log := next((name for name in LOGS if name in held), None)) is not None:
        names["threshold"] = log
    norms = [f"{NORM}.{name}" for name in (*hooks, *hooks.values())]
    tensors = pick(held, names, file, turned="" if new else "W_enc W_dec", also=norms)
    if not with_bias:
        tensors["b_dec"] = torch.zeros_like(tensors["W_dec"][0])
    return tensors, tensors.pop("threshold", None)


def _activation(
    said: Said, logs: Tensor | None, tensors: dict[str, Tensor], length: Tensor | None, into: float, file: str
) -> tuple[type[ReLU] | type[TopK] | type[JumpReLU], dict[str, Any]]:
    """Our type and what it needs beside the tensors; for top-k the norms of the decoder's rows go into the tensors."""
    name = said("act_fn", str, "jumprelu").lower()
    if name not in ("relu", "topk", "jumprelu"):
        raise refuse("act_fn", name, ["relu", "topk", "jumprelu"])
    if name != "jumprelu" and logs is not None:
        raise ValueError(f"its act_fn is {name}, and {file} holds the thresholds of a jumprelu")
    if name == "relu":
        return ReLU, {}
    if name == "topk":
        if length is not None:
            tensors["W_enc"], tensors["b_enc"] = tensors["W_enc"] * length, tensors["b_enc"] * length
            tensors["W_dec"] = tensors["W_dec"] / length[:, None]
        if (k := said("top_k", int, None, at_least=1)) is None:
            raise ValueError("its act_fn is topk, and its config has no 'top_k'")
        return TopK, {"k": k}
    if (single := said("jump_relu_threshold", float, None)) is not None:
        threshold = torch.full_like(tensors["b_enc"], single * into)
    elif logs is not None:
        threshold = logs.to(tensors["b_enc"]).exp()
    else:
        raise ValueError(f"{file} has no {LOGS[-1]!r} and the config no jump_relu_threshold, which jumprelu needs")
    return JumpReLU, {"threshold": threshold if length is None else threshold / length}


def _scale(said: Said, held: Mapping[str, Any], end: str, hook: str, *, d: int) -> float:
    """The number by which activations at this end were multiplied."""
    how = said("norm_activation", str, "dataset-wise")
    if how == "inference":
        return 1.0
    if how != "dataset-wise":
        raise refuse("norm_activation", how, ["dataset-wise", "inference"])
    known = said(NORM, dict, None) or {}
    norms = [n for name in (end, hook) for n in (held.get(f"{NORM}.{name}"), known.get(name)) if n is not None]
    if not norms:
        raise ValueError(
            f"its activations at {hook} were scaled by their mean norm, and no {NORM} says by which number"
        )
    norm = norms[0].item() if isinstance(norms[0], Tensor) and norms[0].numel() == 1 else norms[0]
    return d**0.5 / typed(norm, f"{NORM}.{end}", float, at_least=1e-30)


def _weights(path: Path) -> tuple[dict[str, Any], str]:
    for name in WEIGHTS:
        if (path / name).is_file():
            state: Any = read_torch(path / name) if name.endswith(".pt") else read_tensors(path / name)[0]
            state = typed(state, name, dict)
            return typed(state.get("sae", state), f"sae in {name}", dict), name
    raise ValueError(f"it has none of {', '.join(WEIGHTS)}; a .dcp folder must be saved again as safetensors")
