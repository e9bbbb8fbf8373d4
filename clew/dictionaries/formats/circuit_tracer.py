"""Sets of transcoders as circuit-tracer opens them: one file per layer, `layer_<N>.safetensors`.

W_enc and W_dec are both [unit, d]; W_skip is [d_out, d_in]. A threshold makes it JumpReLU, else it is ReLU: all layers of a
set hold the same tensors, and a layer alone says which it is in config.yaml (`activation: relu`). config.yaml also names
the hooks; without it they are the MLP's input and output. mntss' sets come in pairs W_enc_<N>, W_dec_<N>, where
W_dec_<N> [unit, layer, d] writes every later layer: a cross-layer transcoder, which is refused.
https://github.com/safety-research/circuit-tracer
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._tensors import made, need, pick, read_flat_yaml, refuse
from clew.dictionaries.hooks import Ends, ends
from clew.dictionaries.jumprelu import JumpReLU
from clew.dictionaries.relu import ReLU
from clew.files import typed
from clew.tensors import open_tensors, read_header, read_tensors

NAME = r"(?:layer|W_enc)_([0-9]+)\.safetensors"
TENSORS = {"W_enc": "W_enc", "b_enc": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
THRESHOLD = "activation_function.threshold"
OPTIONAL = {"W_skip": "W_skip", "threshold": THRESHOLD}

CONFIG = "config.yaml"
HOOKS = ("feature_input_hook", "feature_output_hook")
ACTIVATIONS = {"relu": ReLU, "jumprelu": JumpReLU, "jump_relu": JumpReLU}


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
    """The transcoder of each layer.

    Raises: ValueError for a cross-layer transcoder, for tensors we do not know, and where nothing says ReLU or JumpReLU.
    """
    folder = path.parent if path.is_file() else path
    said = read_flat_yaml(folder / CONFIG, (*HOOKS, "activation")) if (folder / CONFIG).is_file() else {}
    files = [path] if path.is_file() else _layers(folder)
    return [_read(file, at, said) for file in files]


def _layers(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*_*.safetensors") if re.fullmatch(NAME, file.name))


def _read(file: Path, at: Ends | None, said: Mapping[str, Any]) -> Dictionary:
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
    hooks = need(said, *HOOKS, file=CONFIG) if any(hook in said for hook in HOOKS) else ["mlp.hook_in", "hook_mlp_out"]
    named = (
        f"blocks.{layer[1]}.{typed(hook, f'{CONFIG}: {key}', str)}" for key, hook in zip(HOOKS, hooks, strict=True)
    )
    reads, writes = ends(at, *named, spans=True)
    cls = _type(file, held, said)
    return made(file.name, cls, reads, writes, centred=False, **weights, format="circuit_tracer", config=dict(said))


def _type(file: Path, held: Mapping[str, Tensor], said: Mapping[str, Any]) -> type[ReLU] | type[JumpReLU]:
    """What the config says, or else what all layers of the set hold. Raises: ValueError where they contradict each other."""
    found = JumpReLU if THRESHOLD in held else ReLU
    if "activation" in said:
        if said["activation"] not in ACTIVATIONS:
            raise refuse(f"activation in {CONFIG}", said["activation"], list(ACTIVATIONS))
        if found is not ACTIVATIONS[said["activation"]]:
            raise ValueError(f"{CONFIG} says {said['activation']}, and {file.name} holds {', '.join(sorted(held))}")
        return found
    others = [other for other in _layers(file.parent) if other != file and other.name[0] == file.name[0] == "l"]
    if odd := next((other for other in others if _names(other) != set(held)), None):
        both = " and ".join(", ".join(sorted(names)) for names in (_names(odd), held))
        raise ValueError(f"{odd.name} and {file.name} of one set hold other tensors: {both}; fetch both again")
    if found is ReLU and not others:
        raise ValueError(
            f"{file.name} stands alone and holds no {THRESHOLD}, so it is ReLU or has lost it; if it is ReLU, say so by a "
            f"line 'activation: relu' in {CONFIG} beside it"
        )
    return found


def _names(file: Path) -> set[str]:
    with open_tensors(file) as held:
        return set(held.keys())


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
