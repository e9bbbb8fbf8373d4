"""dictionary_learning: ae.pt with config.json beside it, or any file of such a state dict.

Matrices of torch's Linear are [out, in], so encoder.weight and decoder.weight are transposed. The
classes differ in whether they take the decoder's bias off the input; the table says which.
https://github.com/saprmarks/dictionary_learning
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clew.archives import read_torch
from clew.dictionaries.batchtopk import BatchTopK
from clew.dictionaries.dictionary import Dictionary, Learned
from clew.dictionaries.formats._tensors import check_sizes, made, pick, read_config, refuse, whole_number
from clew.dictionaries.gated import Gated
from clew.dictionaries.hooks import Ends, ends, folder_name
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.dictionaries.topk import TopK
from clew.files import check_spelling, entry_or

WEIGHTS, CONFIG = "ae.pt", "config.json"

# Our name of each tensor: its name there. A name in the transposed form is of a torch Linear.
LINEAR = {"W_enc": "encoder.weight", "W_dec": "decoder.weight"}
PLAIN = {"W_enc": "W_enc", "W_dec": "W_dec", "b_enc": "b_enc", "b_dec": "b_dec", "threshold": "threshold"}
TOPK = LINEAR | {"b_enc": "encoder.bias", "b_dec": "b_dec"}

CLASSES: dict[str, tuple[type[Learned], bool, dict[str, str]]] = {
    "AutoEncoder": (ReLU, True, LINEAR | {"b_enc": "encoder.bias", "b_dec": "bias"}),
    "AutoEncoderNew": (ReLU, False, LINEAR | {"b_enc": "encoder.bias", "b_dec": "decoder.bias"}),
    "GatedAutoEncoder": (
        Gated,
        True,
        LINEAR | {"b_gate": "gate_bias", "b_mag": "mag_bias", "r_mag": "r_mag", "b_dec": "decoder_bias"},
    ),
    "AutoEncoderTopK": (TopK, True, TOPK),
    "BatchTopKSAE": (BatchTopK, True, TOPK | {"threshold": "threshold"}),
    "MatryoshkaBatchTopKSAE": (BatchTopK, True, PLAIN),
    "JumpReluAutoEncoder": (JumpReLU, False, PLAIN),
}
"""Class name there: (our type, is the decoder's bias taken off the input, names of tensors)."""

ALSO = {"AutoEncoderTopK": ("k", "threshold"), "BatchTopKSAE": ("k",), "MatryoshkaBatchTopKSAE": ("k", "group_sizes")}
"""Buffers that the code does not depend on, or that are no weights."""
KNOWN = ("dict_class", "submodule_name", "k", "activation_dim", "dict_size")
"""What is asked of a trainer's config."""


def matches(path: Path) -> bool:
    """A folder with ae.pt, or a .pt file that is called so or stands by the config of a trainer."""
    if not path.is_file():
        return (path / WEIGHTS).is_file()
    if path.suffix not in (".pt", ".pth"):
        return False
    trained = any(b'"trainer"' in config.read_bytes() for config in _configs(path))
    return trained or bool(re.fullmatch(r"ae(_\d+)?", path.stem))


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """The one dictionary of a trainer's folder or of a checkpoint file.

    The site comes from the config's submodule_name, else from a folder named like `resid_out_layer3`;
    `layer` alone does not say which part of the block was meant, so it is not believed.
    Raises: ValueError for a file that holds Python objects, for cross-coders, and for a BatchTopK
    dictionary that was saved before it had a threshold.
    """
    file = path / WEIGHTS if path.is_dir() else path
    config = next((read_config(c, ("trainer",)) for c in _configs(file)), {})
    trainer = entry_or(config, "trainer", dict, None, origin=CONFIG) or {}
    check_spelling(trainer, KNOWN, f"trainer in {CONFIG}")
    state = _read_state(file)
    name = entry_or(trainer, "dict_class", str, None, origin=f"{CONFIG}: trainer") or _guess(state, file.name)
    if name not in CLASSES:
        raise refuse("dict_class", name, list(CLASSES))
    cls, centred, names = CLASSES[name]
    linear = " ".join(ours for ours, theirs in names.items() if theirs in LINEAR.values())
    also = ALSO.get(name, ())
    weights: dict[str, Any] = dict(
        pick(state, names, file.name, turned=linear, also=[n for n in also if n not in names])
    )
    if cls is TopK:
        weights["k"] = _k(state, trainer, file.name)
    if cls is BatchTopK and bool((weights["threshold"] < 0).any()):
        raise ValueError(
            f"its threshold is {float(weights['threshold'].min())}, which means not set yet, so the code of a single token "
            "is not defined; take a later checkpoint"
        )
    hook = entry_or(trainer, "submodule_name", str, None, origin=f"{CONFIG}: trainer") or folder_name(file.parent)
    reads, writes = ends(at, hook)
    found = made(file.name, cls, reads, writes, centred=centred, **weights, format="dictionary_learning", config=config)
    check_sizes(found, trainer, CONFIG, d_in="activation_dim", n_units="dict_size")
    return [found]


def _k(state: Mapping[str, Any], trainer: Mapping[str, Any], file: str) -> int:
    """How many units stay active, from the buffer, or from the config where older files have none."""
    held = [whole_number(state["k"], f"k in {file}")] if "k" in state else []
    held += [whole_number(trainer["k"], f"{CONFIG}: trainer.k")] if "k" in trainer or not held else []
    if len(set(held)) > 1:
        raise ValueError(f"{file} says k = {held[0]}, and {CONFIG} k = {held[1]}")
    return held[0]


def _configs(file: Path) -> list[Path]:
    return [c for c in (file.parent / CONFIG, file.parent.parent / CONFIG) if c.is_file()]


def _read_state(file: Path) -> dict[str, Tensor]:
    state = read_torch(file)
    if not isinstance(state, dict) or not all(isinstance(n, str) and isinstance(v, Tensor) for n, v in state.items()):
        raise ValueError(f"{file.name} must hold a dict of tensors, not {type(state).__name__} of other things")
    return state


def _guess(tensors: dict[str, Tensor], file: str) -> str:
    """The class of a state dict that comes without a config, from its names."""
    fits = [name for name, (_, _, names) in CLASSES.items() if set(names.values()) <= set(tensors)]
    if "MatryoshkaBatchTopKSAE" in fits:
        scalar = tensors["threshold"].ndim == 0
        fits.remove("JumpReluAutoEncoder" if scalar else "MatryoshkaBatchTopKSAE")
    if len(fits) != 1:
        what = f"may be {' or '.join(fits)}, whose codes differ" if fits else "are of no class we know"
        raise ValueError(
            f"the tensors of {file} ({', '.join(sorted(tensors))}) {what}; put a {CONFIG} beside it that says "
            f'{{"trainer": {{"dict_class": ...}}}}, one of {", ".join(CLASSES)}'
        )
    return fits[0]
