"""Sets of transcoders as circuit-tracer opens them: one file per layer, `layer_<N>.safetensors`.

W_enc and W_dec are both [unit, d]; W_skip is [d_out, d_in]. A threshold makes it JumpReLU, else it is ReLU. config.yaml
names the hooks; without it they are the MLP's input and output. mntss' sets come in pairs W_enc_<N>, W_dec_<N>, where
W_dec_<N> [unit, layer, d] writes every later layer: a cross-layer transcoder, which is refused.
https://github.com/safety-research/circuit-tracer
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._hooks import Ends, ends
from clew.dictionaries.formats._tensors import pick, read_flat_yaml
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.tensors import read_header, read_tensors

NAME = r"(?:layer|W_enc)_(\d+)\.safetensors"
TENSORS = {"W_enc": "W_enc", "b_enc": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
OPTIONAL = {"W_skip": "W_skip", "threshold": "activation_function.threshold"}


def matches(path: Path) -> bool:
    """A file of one layer that does not call itself ours, or a folder of such files."""
    if path.is_file():
        return bool(re.fullmatch(NAME, path.name)) and not any("clew" in key for key in _header(path))
    return path.is_dir() and any(matches(file) for file in path.glob("*_*.safetensors"))


def _header(file: Path) -> dict[str, str]:
    """Nothing for a file that cannot be read: `read` says why."""
    try:
        return read_header(file)
    except ValueError:
        return {}


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """The transcoder of each layer. Raises: ValueError for a cross-layer transcoder, and for tensors we do not know."""
    files = [path] if path.is_file() else [f for f in path.glob("*_*.safetensors") if re.fullmatch(NAME, f.name)]
    return [_read(file, at) for file in sorted(files)]


def _read(file: Path, at: Ends | None) -> Dictionary:
    layer = re.fullmatch(NAME, file.name)
    assert layer is not None
    held = _held(file, layer[1])
    many = next((name for name, t in held.items() if name.lower().startswith("w_dec") and t.ndim == 3), None)
    if many is not None:
        raise ValueError(
            f"{many} of {file.name} has shape {tuple(held[many].shape)} [unit, layer, d]: it is part of a cross-layer "
            "transcoder, whose units write many layers; a dictionary of ours writes one"
        )
    names = TENSORS | {ours: theirs for ours, theirs in OPTIONAL.items() if theirs in held}
    weights: dict[str, Any] = dict(pick(held, names, file.name, turned="W_enc W_skip"))
    unknown = sorted(set(held) - set(names.values()))
    if unknown:
        raise ValueError(f"{file.name} also holds {', '.join(unknown)}, and we do not know what it does with them")
    config = file.parent / "config.yaml"
    said = read_flat_yaml(config) if config.is_file() else {}
    hooks = [said.get("feature_input_hook", "mlp.hook_in"), said.get("feature_output_hook", "hook_mlp_out")]
    reads, writes = ends(at, *(f"blocks.{layer[1]}.{hook}" for hook in hooks), spans=True)
    cls = JumpReLU if "threshold" in weights else ReLU
    return cls(reads, writes, centred=False, **weights, format="circuit_tracer", config=said)


def _held(file: Path, layer: str) -> dict[str, Tensor]:
    """The tensors of one layer under the names of `layer_<N>`, from one file or a pair."""
    held = read_tensors(file)[0]
    pair = file.with_name(f"W_dec_{layer}.safetensors")
    if not file.name.startswith("W_enc"):
        return held
    if not pair.is_file():
        raise ValueError(f"there is {file.name} but no {pair.name} beside it; fetch both")
    held |= read_tensors(pair)[0]
    return {re.sub(rf"_{layer}$", "", name): t for name, t in held.items()}
