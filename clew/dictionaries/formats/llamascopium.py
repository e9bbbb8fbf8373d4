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

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._hooks import Ends, ends
from clew.dictionaries.formats._tensors import need, pick, read_config, read_torch, refuse
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.dictionaries.topk import TopK
from clew.tensors import read_tensors

SCOPE, CONFIG = "hyperparams.json", "config.json"
WEIGHTS = ("checkpoints/final.safetensors", "sae_weights.safetensors", "sae_weights.pt")

NEW = {"W_enc": "W_E", "b_enc": "b_E", "W_dec": "W_D", "b_dec": "b_D"}
OLD = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight", "b_dec": "decoder.bias"}
NORM = "dataset_average_activation_norm"


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
    config = read_config(path / config_file)
    if config.get("sae_type", "sae") != "sae":
        raise refuse("sae_type", config["sae_type"], ["sae"])
    if config.get("use_glu_encoder"):
        raise ValueError("its encoder is multiplied by a gate of its own (use_glu_encoder), which we do not have")
    held, file = _weights(path)
    names = dict(NEW if "W_E" in held else OLD)
    if not config.get("use_decoder_bias", True):
        del names["b_dec"]
    tensors = pick(held, names, file, turned="" if "W_E" in held else "W_enc W_dec")
    tensors.setdefault("b_dec", torch.zeros_like(tensors["W_dec"][0]))
    first = need(config, "hook_point_in", file=config_file)[0]
    hooks = {"in": first, "out": config.get("hook_point_out") or first}
    into, out = (_scale(config, held, *end, d=tensors["W_enc"].shape[0]) for end in hooks.items())
    if config.get("apply_decoder_bias_to_pre_encoder"):
        tensors["b_enc"] = tensors["b_enc"] - tensors["b_dec"] @ tensors["W_enc"]
    length = tensors["W_dec"].norm(dim=1) if config.get("sparsity_include_decoder_norm", True) else None
    cls, settings = _activation(config, held, tensors, length, into)
    tensors["W_enc"], tensors["W_dec"], tensors["b_dec"] = (
        tensors["W_enc"] * into,
        tensors["W_dec"] / out,
        tensors["b_dec"] / out,
    )
    reads, writes = ends(at, *hooks.values(), spans=hooks["in"] != hooks["out"])
    return [cls(reads, writes, centred=False, **tensors, **settings, format="llamascopium", config=config)]


def _activation(
    config: dict[str, Any], held: dict[str, Any], tensors: dict[str, Tensor], length: Tensor | None, into: float
) -> tuple[type[ReLU] | type[TopK] | type[JumpReLU], dict[str, Any]]:
    """Our type and what it needs beside the tensors; for top-k the norms of the decoder's rows go into the tensors."""
    name = str(config.get("act_fn", "jumprelu")).lower()
    if name == "relu":
        return ReLU, {}
    if name == "topk":
        if length is not None:
            tensors["W_enc"], tensors["b_enc"] = tensors["W_enc"] * length, tensors["b_enc"] * length
            tensors["W_dec"] = tensors["W_dec"] / length[:, None]
        return TopK, {"k": int(need(config, "top_k", file="its config")[0])}
    if name != "jumprelu":
        raise refuse("act_fn", name, ["relu", "topk", "jumprelu"])
    if "jump_relu_threshold" in config:
        threshold = torch.full_like(tensors["b_enc"], config["jump_relu_threshold"] * into)
    else:
        logs = [n for n in ("activation_function.log_jumprelu_threshold", "log_jumprelu_threshold") if n in held]
        key = logs[0] if logs else "log_jumprelu_threshold"
        threshold = pick(held, {"threshold": key}, "its weights")["threshold"].to(tensors["b_enc"]).exp()
    return JumpReLU, {"threshold": threshold if length is None else threshold / length}


def _scale(config: dict[str, Any], held: dict[str, Any], end: str, hook: str, *, d: int) -> float:
    """The number by which activations at this end were multiplied."""
    how = config.get("norm_activation", "dataset-wise")
    if how == "inference":
        return 1.0
    if how != "dataset-wise":
        raise refuse("norm_activation", how, ["dataset-wise", "inference"])
    known = config.get(NORM) or {}
    norm = next(
        (n for name in (end, hook) for n in (held.get(f"{NORM}.{name}"), known.get(name)) if n is not None), None
    )
    if norm is None:
        raise ValueError(
            f"its activations at {hook} were scaled by their mean norm, and no {NORM} says by which number"
        )
    return d**0.5 / float(norm)


def _weights(path: Path) -> tuple[dict[str, Any], str]:
    for name in WEIGHTS:
        if (path / name).is_file():
            state: dict[str, Any] = read_torch(path / name) if name.endswith(".pt") else read_tensors(path / name)[0]
            return state.get("sae", state), name
    raise ValueError(f"it has none of {', '.join(WEIGHTS)}; a .dcp folder must be saved again as safetensors")
