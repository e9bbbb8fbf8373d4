"""What a folder of a model may hold to be opened here: its own weights, as safetensors, and nothing that leads elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clew.files import entry, read_any_json, typed

WHOLE, PARTS = "model.safetensors", "*.index.json"
"""How transformers calls the file of the weights, and those that say in which files parts of them lie."""


def check_weights(folder: Path, name: str) -> None:
    """Raises: ValueError for weights that would have to be unpickled, or that lie elsewhere.

    Args: name: what the folder is called, for the message.
    """
    parts = sorted(folder.glob(PARTS))
    if not (folder / WHOLE).is_file() and not any(one.name == f"{WHOLE}.index.json" for one in parts):
        raise ValueError(
            f"{name} holds no {WHOLE}; other weights would have to be unpickled, which the studio never does"
        )
    if (folder / "adapter_config.json").is_file():
        raise ValueError(f"{name} is an adapter of a model that lies elsewhere; merge the two and save the whole model")
    for path in parts:
        for part in _files(read_any_json(path), str(path)):
            if Path(part).name != part or "\\" in part:
                raise ValueError(f"{path.name} of {name} names weights elsewhere ({part!r:.80}); put them beside it")


def _files(value: Any, origin: str) -> set[str]:
    """The files in which an index says that weights lie."""
    held = entry(value, "weight_map", dict, origin=origin)
    return {typed(part, f"{origin}: weight_map", str) for part in held.values()}
