"""SAELens: a folder with cfg.json and sae_weights.safetensors. Read since version 1, written as version 6.

A dictionary that spans sites is a transcoder there, and names the hook it writes in its metadata.

W_enc [d_in, unit] and W_dec [unit, d_out] are laid out as ours; W_skip [d_out, d_in] is transposed.
The code that we return is the one SAELens returns: scales of activations and of decoder rows are folded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clew.dictionaries.abstopk import AbsTopK
from clew.dictionaries.batchtopk import BatchTopK
from clew.dictionaries.dictionary import Dictionary, Learned
from clew.dictionaries.formats._tensors import bias, check_sizes, made, need, pick, read_config, refuse
from clew.dictionaries.gated import Gated
from clew.dictionaries.hooks import Ends, ends, saelens_name
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.dictionaries.topk import FixedK, TopK
from clew.files import check_spelling, entry, entry_or, jsonable, write_folder, writer_of
from clew.tensors import read_tensors, writer_of_tensors

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
FACTORS = ("finetuning_scaling_factor", "scaling_factor")
"""Of old files: what a code is multiplied by before it is decoded."""
SETTINGS = (
    "architecture",
    "apply_b_dec_to_input",
    "normalize_activations",
    "rescale_acts_by_decoder_norm",
    "k",
    "d_in",
    "d_sae",
    "d_out",
    "hook_name",
    "hook_name_out",
    "hook_head_index",
    "activation_fn",
    "activation_fn_kwargs",
    "finetuning_scaling_factor",
    *OLD_KEYS,
)
"""What is asked of a config, in any version."""
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
    published = read_config(path / CONFIG, ("metadata", *SETTINGS))
    config = _flat(published)
    said = partial(entry_or, config, origin=CONFIG)
    architecture = said("architecture", str, "standard")
    if architecture not in TYPES:
        raise refuse("architecture", architecture, list(TYPES))
    if config.get("hook_head_index") is not None:
        raise ValueError(f"it was trained on attention head {config['hook_head_index']} alone; we read whole sites")
    cls, spans = TYPES[architecture], "transcoder" in architecture
    factor = said(FACTORS[0], bool, None)
    tensors = _tensors(path / WEIGHTS, TENSORS[cls], skip="skip" in architecture, factor=bool(factor))
    _check_settings(published, config, cls)
    scale, rescaled = _scale(path, config), said("rescale_acts_by_decoder_norm", bool, False)
    if scale != 1 and spans:
        raise ValueError(f"it is a transcoder of activations scaled by {scale}; the scale of its output is not known")
    settings = {"k": entry(config, "k", int, origin=CONFIG)} if cls in (TopK, AbsTopK) else {}
    hooks = [said(name, str, None) for name in ("hook_name", "hook_name_out")[: 1 + spans]]
    reads, writes = ends(at, *hooks, spans=spans)
    centred = not spans and said("apply_b_dec_to_input", bool, True)
    meta = {"format": "saelens", "config": published}
    dictionary = made(WEIGHTS, cls, reads, writes, centred=centred, **tensors, **settings, **meta)
    check_sizes(dictionary, config, CONFIG, d_in="d_in", n_units="d_sae", d_out="d_out")
    _fold(dictionary, scale, rescaled)
    return [dictionary]


def _check_settings(published: Mapping[str, Any], config: Mapping[str, Any], cls: type[Learned]) -> None:
    """Raises: ValueError where a config lacks what its version always writes: a default would be a guess."""
    if "metadata" not in published:
        return
    entry(published, "apply_b_dec_to_input", bool, origin=CONFIG)
    always = ["architecture", "normalize_activations"]
    if _version(config) >= _version({"sae_lens_version": WRITTEN_FOR}) and issubclass(cls, FixedK):
        always.append("rescale_acts_by_decoder_norm")
    need(published, *always, file=CONFIG)


def _version(config: Mapping[str, Any]) -> tuple[int, ...]:
    """The version of SAELens that wrote a config; none where it does not say."""
    found = re.match(r"(\d+)\.(\d+)", entry_or(config, "sae_lens_version", str, "", origin=CONFIG), re.ASCII)
    return tuple(map(int, found.groups())) if found else ()


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
    text = json.dumps(jsonable(config), indent=2)
    write_folder(path, {WEIGHTS: writer_of_tensors(tensors), CONFIG: writer_of(text)})


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
    metadata = entry_or(published, "metadata", dict, {}, origin=CONFIG)
    check_spelling(metadata, SETTINGS, f"metadata in {CONFIG}")
    flat = {OLD_KEYS.get(key, key): value for key, value in published.items() if key != "metadata"} | metadata
    activation = entry_or(flat, "activation_fn", str, None, origin=CONFIG) or "relu"
    options = entry_or(flat, "activation_fn_kwargs", dict, None, origin=CONFIG) or {}
    if options and activation != "topk":
        raise ValueError(f"{CONFIG} has activation_fn_kwargs {options!r:.60}, and its activation is {activation}")
    if activation == "topk":
        flat |= {"architecture": "topk"} | {name: value for name, value in options.items() if name == "k"}
    elif flat.get("architecture", "standard") == "standard" and activation != "relu":
        raise refuse("activation function", activation, ["relu", "topk"])
    return flat


def _tensors(file: Path, wanted: list[str], *, skip: bool, factor: bool) -> dict[str, Tensor]:
    """The weights under our names; the logarithm of a threshold and the factor of old files are worked in."""
    held = read_tensors(file)[0]
    names = {name: name for name in ("W_enc", "W_dec", "b_dec", *wanted, *(["W_skip"] if skip else []))}
    if "threshold" in names and "threshold" not in held:
        names["threshold"] = next((n for n in ("topk_threshold", "log_threshold") if n in held), "threshold")
    if factor or any(name in held for name in FACTORS):
        names["factor"] = next((name for name in FACTORS if name in held), FACTORS[0])
    tensors = pick(held, names, file.name, turned="W_skip")
    if names.get("threshold") == "log_threshold":
        tensors["threshold"] = tensors["threshold"].exp()
    if "factor" in tensors:
        times, units = tensors.pop("factor"), len(tensors["W_dec"])
        if tuple(times.shape) != (units,):
            raise ValueError(f"scaling_factor in {file.name} has shape {tuple(times.shape)}; it must be ({units},)")
        tensors["W_dec"] = times[:, None] * tensors["W_dec"]
    return tensors


def _scale(path: Path, config: dict[str, Any]) -> float:
    """The number by which activations were multiplied before they were encoded."""
    normalise = config.get("normalize_activations")
    if normalise in (None, False, "none"):
        return 1.0
    if normalise in ("layer_norm", "constant_norm_rescale"):
        raise ValueError(
            f"its activations were normalised by {normalise!r}, each by its own size, which is not linear in the stream, so "
            "a dictionary of ours cannot hold it"
        )
    if normalise not in (True, "expected_average_only_in"):
        raise refuse("normalize_activations", normalise, ["none", "expected_average_only_in"])
    if not (path / SCALER).is_file():
        raise ValueError(
            f"its activations were normalised by {normalise!r}, and no {SCALER} says by which number, so its codes cannot "
            "be computed; save it again with SAELens after folding the norm (fold_activation_norm_scaling_factor)"
        )
    scaler = read_config(path / SCALER, ("scaling_factor", "has_whitening"))
    if entry_or(scaler, "has_whitening", bool, False, origin=SCALER):
        raise ValueError(f"{SCALER} says that its activations were whitened, by a matrix that is not in the folder")
    return float(entry(scaler, "scaling_factor", float, origin=SCALER, at_least=1e-30))


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
