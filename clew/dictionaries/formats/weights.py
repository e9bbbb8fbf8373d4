"""State dicts on their own, .pt or .pth, without a config: what their tensors are called says whose they are.

Goodfire, DeepSeek-R1 (by Goodfire too), Qwen-Scope, OpenAI, and saev, whose file begins with a line of JSON. Whatever
else a lone file holds is tried as a class of dictionary_learning. The site is in the file's name, or in `at`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from clew.archives import read_torch
from clew.dictionaries.batchtopk import BatchTopK
from clew.dictionaries.dictionary import Dictionary, Learned
from clew.dictionaries.formats import dictionary_learning
from clew.dictionaries.formats._tensors import made, pick, refuse, whole_number
from clew.dictionaries.hooks import Ends, ends, folder_name
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.dictionaries.topk import TopK
from clew.files import check_spelling, entry, entry_or, parse_json, typed

QWEN = r"layer([0-9]+)\.sae\.pt"
NAMED = rf"{QWEN}|.*-SAE-l([0-9]+)\.pth?|sae\.pt"
"""Names under which such files are published; the number is a block, whose output is meant."""


class Layout(NamedTuple):
    """How one publisher lays out a dictionary."""

    type: type[Learned]
    centred: bool
    names: dict[str, str]
    turned: str = "W_enc W_dec"
    also: frozenset[str] = frozenset()
    """Tensors that the code does not depend on."""


PLAIN = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
LINEAR = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight", "b_dec": "decoder.bias"}
OPENAI = {"W_enc": "encoder.weight", "b_enc": "latent_bias", "W_dec": "decoder.weight", "b_dec": "pre_bias"}
STATISTICS = frozenset({"stats_last_nonzero", "latents_activation_frequency", "latents_mean_square"})


LAYOUTS = {
    "goodfire": Layout(ReLU, False, {ours: theirs.replace(".", "_linear.") for ours, theirs in LINEAR.items()}),
    "deepseek_r1": Layout(ReLU, False, LINEAR),
    "qwen_scope": Layout(TopK, False, PLAIN),
    "openai": Layout(ReLU, True, OPENAI, also=STATISTICS),
    "openai_topk": Layout(TopK, True, OPENAI | {"k": "k"}, also=STATISTICS),
}
SAEV: dict[str, type[Learned]] = {"Relu": ReLU, "TopK": TopK, "BatchTopK": BatchTopK}
"""What saev calls its activations; with a threshold per unit the last one is JumpReLU."""


def matches(path: Path) -> bool:
    """A .pt or .pth file that is not dictionary_learning's, or a folder with a file under a published name."""
    if path.is_file():
        return path.suffix in (".pt", ".pth") and not dictionary_learning.matches(path)
    return path.is_dir() and not dictionary_learning.matches(path) and bool(_files(path))


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """The dictionary of a file, or of each file with a published name in a folder.

    Raises: ValueError for OpenAI's top-k autoencoders, which normalise every activation; for Qwen-Scope outside a folder
    that says how many units stay active (L0_50); for BatchTopK without a threshold.
    """
    return [d for file in ([path] if path.is_file() else _files(path)) for d in _read(file, at)]


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and re.fullmatch(NAMED, file.name))


def _read(file: Path, at: Ends | None) -> list[Dictionary]:
    with file.open("rb") as opened:
        if opened.peek(1)[:1] == b"{":
            return [_saev(file, opened.readline(), at)]
    state = read_torch(file)
    state = dict(state) if isinstance(state, dict) else {}
    activation = _activation(state, file.name)
    name = next((n for n, layout in LAYOUTS.items() if set(layout.names.values()) == set(state) - layout.also), None)
    if name is None or (name == "qwen_scope" and not re.fullmatch(QWEN, file.name, re.ASCII)):
        return dictionary_learning.read(file, at)
    if name == "openai" and activation is None:
        raise ValueError(
            f"{file.name} does not say its activation, as OpenAI's ReLU files do, and holds no 'k' of a top-k one"
        )
    layout = LAYOUTS[name]
    weights: dict[str, Any] = {ours: theirs for ours, theirs in layout.names.items() if ours != "k"}
    weights = dict(pick(state, weights, file.name, turned=layout.turned, also=(*layout.also, "k")))
    if layout.type is TopK:
        weights["k"] = whole_number(state["k"], f"k in {file.name}") if "k" in state else _k(file)
    reads, writes = ends(at, _hook(file))
    return [made(file.name, layout.type, reads, writes, centred=layout.centred, **weights, format=name)]


def _activation(state: dict[str, Any], file: str) -> str | None:
    """What OpenAI's files say of it, taken out of the state; None for others. Raises: ValueError for anything but ReLU."""
    said, more = state.pop("activation", None), state.pop("activation_state_dict", {})
    if said == "TopK":
        raise ValueError(
            "OpenAI's top-k autoencoders shift and scale every activation to mean 0 and deviation 1 before encoding, "
            "which is not linear in the stream, so a dictionary of ours cannot hold them; their ReLU ones can be read"
        )
    if said not in (None, "ReLU"):
        raise refuse(f"activation in {file}", said, ["ReLU"])
    if more not in ({}, None):
        raise ValueError(
            f"{file} holds settings of an activation, {more!r:.60}, which {said or 'no activation'} does not have"
        )
    return said


def _hook(file: Path) -> str | None:
    found = re.fullmatch(NAMED, file.name)
    layer = found and (found[1] or found[2])
    return f"blocks.{layer}.hook_resid_post" if layer else folder_name(file.absolute().parent)


def _k(file: Path) -> int:
    found = re.findall(r"L0_(\d+)", str(file.absolute()))
    if not found:
        raise ValueError(
            f"{file.name} does not say how many units stay active at a position; keep it in a folder whose name does, "
            "as the published one: SAE-Res-Qwen3-1.7B-Base-W32K-L0_50"
        )
    return int(found[-1])


def _saev(file: Path, first: bytes, at: Ends | None) -> Dictionary:
    """saev: W_enc [d, unit], nothing taken off the input; the header says the activation. Negative top-k values are cut."""
    place = f"the first line of {file.name}"
    config = typed(parse_json(first.decode(), place), place, dict)
    cfg = entry(config, "cfg", dict, origin=place)
    check_spelling(cfg, ("activation",), f"cfg in {place}")
    state = read_torch(file, skip=len(first))
    state = dict(state) if isinstance(state, dict) else {}
    activation = entry_or(cfg, "activation", dict, None, origin=f"{place}: cfg")
    name = entry(config if activation is None else activation, "cls", str, origin=place)
    if name not in SAEV:
        raise refuse("the activation", name, list(SAEV))
    threshold = state.pop("activation.threshold", None)
    weights: dict[str, Any] = dict(pick(state, PLAIN, file.name))
    cls: type[Learned] = SAEV[name]
    if (cls is BatchTopK) != (threshold is not None):
        raise refuse("the activation", name, ["Relu", "TopK", "BatchTopK with a threshold"])
    if threshold is not None:
        weights |= pick({"threshold": threshold}, {"threshold": "threshold"}, file.name)
        cls = BatchTopK if weights["threshold"].numel() == 1 else JumpReLU
    if cls is TopK:
        params = entry_or(activation or {}, "params", dict, cfg, origin=place)
        weights["k"] = entry(params, "top_k", int, origin=f"{place}: params", at_least=1)
    reads, writes = ends(at, _hook(file))
    return made(file.name, cls, reads, writes, centred=False, **weights, format="saev", config=config)
