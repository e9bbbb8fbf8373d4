"""SAELens: a folder with cfg.json and sae_weights.safetensors. Read since version 1, written as version 6.

A dictionary that spans sites is a transcoder there, and names the hook it writes in its metadata.

W_enc [d_in, unit] and W_dec [unit, d_out] are laid out as ours; W_skip [d_out, d_in] is transposed.
The code that we return is the one SAELens returns: scales of activations and of decoder rows are folded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clew.dictionaries.abstopk import AbsTopK
from clew.dictionaries.batchtopk import BatchTopK
from clew.dictionaries.dictionary import Dictionary, Learned
from clew.dictionaries.formats._hooks import Ends, ends, saelens_name
from clew.dictionaries.formats._tensors import bias, checked, need, read_config, refuse
from clew.dictionaries.gated import Gated
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.dictionaries.topk import FixedK, TopK
from clew.files import write_text
from clew.tensors import read_tensors, write_tensors

WEIGHTS, CONFIG, SCALER = "sae_weights.safetensors", "cfg.json", "activation_scaler.json"
TYPES: dict[str, type[Learned]] = {
    "standard": ReLU,
    "gated": Gated,
    "topk": TopK,
    "abstopk": AbsTopK,
    "jumprelu": JumpReLU,
    "batchtopk": BatchTopK,
    "matryoshka_batchtopk": BatchTopK,
    "transcoder": ReLU,
    "skip_transcoder": ReLU,
    "jumprelu_transcoder": JumpReLU,
    "jumprelu_skip_transcoder": JumpReLU,
}
TENSORS: dict[type[Learned], list[str]] = {
    ReLU: ["b_enc"],
    TopK: ["b_enc"],
    AbsTopK: ["b_enc"],
    Gated: ["b_gate", "b_mag", "r_mag"],
    JumpReLU: ["b_enc", "threshold"],
    BatchTopK: ["b_enc", "threshold"],
}
"""What each type holds beside W_enc, W_dec and b_dec."""

OLD_KEYS = {"hook_point": "hook_name", "hook_point_head_index": "hook_head_index", "activation_fn_str": "activation_fn"}
OLD_TENSORS = {"topk_threshold": "threshold", "scaling_factor": "finetuning_scaling_factor"}
WRITTEN_FOR = "6.54.12"
"""The version of SAELens whose reader the written folders were checked with."""


def matches(path: Path) -> bool:
    """A folder with weights under SAELens' name; with config.json in place of cfg.json it is llamascopium's."""
    return (path / WEIGHTS).is_file() and ((path / CONFIG).is_file() or not (path / "config.json").is_file())


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """The one dictionary of a folder.

    Raises: ValueError for architectures that we do not have (temporal, matching_pursuit), for
    normalised activations whose scale is not in the folder, and for the SAE of a single attention head.
    """
    if not (path / CONFIG).is_file():
        raise ValueError(f"there is {WEIGHTS} but no {CONFIG} beside it; fetch both")
    published = read_config(path / CONFIG)
    config = _flat(published)
    architecture = config["architecture"]
    if architecture not in TYPES:
        raise refuse("architecture", architecture, list(TYPES))
    if config.get("hook_head_index") is not None:
        raise ValueError(f"it was trained on attention head {config['hook_head_index']} alone; we read whole sites")
    cls, spans = TYPES[architecture], "transcoder" in architecture
    tensors = _tensors(path / WEIGHTS, TENSORS[cls], skip="skip" in architecture)
    scale, rescaled = _scale(path, config), bool(config.get("rescale_acts_by_decoder_norm"))
    if scale != 1 and spans:
        raise ValueError(f"it is a transcoder of activations scaled by {scale}; the scale of its output is not known")
    settings = {"k": int(need(config, "k", file=CONFIG)[0])} if cls in (TopK, AbsTopK) else {}
    reads, writes = ends(at, config.get("hook_name"), config.get("hook_name_out"), spans=spans)
    centred = not spans and bool(config.get("apply_b_dec_to_input", True))
    meta = {"format": "saelens", "config": published}
    dictionary = cls(reads, writes, centred=centred, **tensors, **settings, **meta)
    _fold(dictionary, scale, rescaled)
    return [dictionary]


def write(dictionary: Dictionary, path: Path) -> None:
    """Save to a folder that `sae_lens.SAE.load_from_disk` opens; BatchTopK becomes jumprelu, as SAELens does itself.

    Raises: ValueError for types and sites that SAELens does not have.
    """
    if not isinstance(dictionary, Learned) or type(dictionary) not in TENSORS:
        raise _unwritten(dictionary)
    architecture = _architecture(dictionary)
    tensors = {name: t for name, t in dictionary.state_dict().items() if name != "W_skip"}
    if not isinstance(dictionary, Gated):
        tensors["b_enc"] = bias(dictionary, centred=dictionary.centred and not dictionary.spans_sites)
    if isinstance(dictionary, BatchTopK):
        tensors["threshold"] = dictionary.threshold.expand(dictionary.n_units)
    if dictionary.W_skip is not None:
        tensors["W_skip"] = dictionary.W_skip.T
    config = {
        "architecture": architecture,
        "d_in": dictionary.d_in,
        "d_sae": dictionary.n_units,
        "dtype": str(dictionary.W_enc.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": dictionary.centred and not dictionary.spans_sites,
        "normalize_activations": "none",
        "reshape_activations": "hook_z" if dictionary.reads.part == "head" else "none",
        "metadata": _metadata(dictionary),
    }
    if dictionary.spans_sites:
        config["d_out"] = dictionary.d_out
    if isinstance(dictionary, FixedK):
        config |= {"k": dictionary.k, "rescale_acts_by_decoder_norm": False}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # The config comes last: until it stands there, the folder is not taken for a whole one.
    write_tensors(path / WEIGHTS, tensors)
    write_text(path / CONFIG, json.dumps(config, indent=2))


def _architecture(dictionary: Learned) -> str:
    """What SAELens calls this type. Raises: ValueError where it has none."""
    kind = next(name for name, cls in TYPES.items() if type(dictionary) is cls)
    kind = "jumprelu" if kind == "batchtopk" else kind
    if not dictionary.spans_sites:
        if dictionary.W_skip is not None:
            raise ValueError("SAELens has no skip connection within one site; save it with format='clew'")
        return kind
    if kind not in ("standard", "jumprelu"):
        raise _unwritten(dictionary)
    skip = "" if dictionary.W_skip is None else "skip_"
    return f"{skip}transcoder" if kind == "standard" else f"jumprelu_{skip}transcoder"


def _unwritten(dictionary: Dictionary) -> ValueError:
    what = f"{dictionary.kind} dictionary that reads {dictionary.reads} and writes {dictionary.writes}"
    return ValueError(f"SAELens is not written for a {what}; save it with format='clew'")


def _metadata(dictionary: Learned) -> dict[str, Any]:
    published = dictionary.meta.get("config", {})
    published = published if isinstance(published, dict) else {}
    known = {"model_name": dictionary.meta.get("model"), "context_size": None, "prepend_bos": None}
    known |= published.get("metadata") or {}
    hook = {"hook_name": saelens_name(dictionary.reads), "hook_head_index": None}
    if dictionary.spans_sites:
        hook["hook_name_out"] = saelens_name(dictionary.writes)
    if isinstance(dictionary, BatchTopK):
        learnt = published.get("architecture")
        hook["training_architecture"] = learnt if TYPES.get(str(learnt)) is BatchTopK else "batchtopk"
    return known | hook | {"sae_lens_version": WRITTEN_FOR}


def _flat(published: dict[str, Any]) -> dict[str, Any]:
    """One level of keys under their present names, from a config of any version."""
    flat = {OLD_KEYS.get(key, key): value for key, value in published.items() if key != "metadata"}
    flat |= published.get("metadata") or {}
    flat.setdefault("architecture", "standard")
    activation, options = flat.get("activation_fn") or "relu", flat.get("activation_fn_kwargs") or {}
    if activation == "topk":
        flat |= {"architecture": "topk"} | options
    elif flat["architecture"] == "standard" and activation != "relu":
        raise refuse("activation function", activation, ["relu", "topk"])
    return flat


def _tensors(file: Path, wanted: list[str], *, skip: bool) -> dict[str, Tensor]:
    held = {OLD_TENSORS.get(name, name): tensor for name, tensor in read_tensors(file)[0].items()}
    held = checked(held, file.name)
    if "log_threshold" in held:
        held["threshold"] = held["log_threshold"].exp()
    names = ["W_enc", "W_dec", "b_dec", *wanted, *(["W_skip"] if skip else [])]
    tensors = dict(zip(names, need(held, *names, file=file.name), strict=True))
    if skip:
        tensors["W_skip"] = tensors["W_skip"].T.contiguous()
    if "finetuning_scaling_factor" in held:  # multiplies the code before it is decoded
        factor, units = held["finetuning_scaling_factor"], len(tensors["W_dec"])
        if tuple(factor.shape) != (units,):
            raise ValueError(f"scaling_factor in {file.name} has shape {tuple(factor.shape)}; it must be ({units},)")
        tensors["W_dec"] = factor[:, None] * tensors["W_dec"]
    return tensors


def _scale(path: Path, config: dict[str, Any]) -> float:
    """The number by which activations were multiplied before they were encoded."""
    normalise = config.get("normalize_activations") or "none"
    if normalise == "none":
        return 1.0
    scaler = read_config(path / SCALER) if (path / SCALER).is_file() else {}
    known = scaler.get("scaling_factor") and not scaler.get("has_whitening")
    if normalise in ("expected_average_only_in", True) and known:
        return float(scaler["scaling_factor"])
    raise ValueError(
        f"its activations were normalised by {normalise!r}, and no {SCALER} says by which number, so its codes cannot "
        "be computed; save it again with SAELens after folding the norm (fold_activation_norm_scaling_factor)"
    )


def _fold(dictionary: Learned, scale: float, rescaled: bool) -> None:
    """Make the weights take raw activations, and top-k rank p_i |d_i|, as they are saved for inference."""
    if scale != 1:
        dictionary.W_enc *= scale
        dictionary.W_dec /= scale
        dictionary.b_dec /= scale
    if rescaled:
        norm = dictionary.W_dec.norm(dim=1)
        dictionary.W_enc *= norm
        dictionary.W_dec /= norm[:, None].clamp(min=torch.finfo(norm.dtype).tiny)
        if dictionary.b_enc is not None:
            dictionary.b_enc *= norm
        if isinstance(dictionary, BatchTopK):  # in units of p_i |d_i|, and |d_i| has just been divided by the scale
            dictionary.threshold /= scale
