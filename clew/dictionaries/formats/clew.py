"""Our own format: one safetensors file per dictionary; what is not a tensor stands in its header.

The header says {"clew": "1", "kind", "reads", "writes", "settings", "meta"}, the last two as JSON.
Any type can be saved: the class is the one Dictionary of clew/dictionaries/<kind>.py with that `kind`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

import clew.dictionaries
from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._tensors import check_finite, need, read_safetensors
from clew.dictionaries.formats.hooks import Ends, ends
from clew.files import write_whole
from clew.sites import Site, near

VERSION = "1"
OTHERS = {"cfg.json", "config.json", "sae_weights.safetensors", "sae.safetensors", "params.safetensors"}
"""Files that mark a folder with safetensors in it as another library's."""


def matches(path: Path) -> bool:
    """A .safetensors file, or a folder of them that is not another library's."""
    if path.is_file():
        return path.suffix == ".safetensors"
    return path.is_dir() and bool(_files(path)) and not any((path / name).exists() for name in OTHERS)


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """One dictionary of a file, or all of a folder; tensors keep their precision."""
    return [_read(file, at) for file in ([path] if path.is_file() else _files(path))]


def write(dictionary: Dictionary, path: Path) -> None:
    """Save one dictionary, whole or not at all. Raises: ValueError when `path` does not end in .safetensors."""
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} must end in .safetensors, as in '{dictionary.writes}.safetensors'")
    header = {
        "clew": VERSION,
        "kind": dictionary.kind,
        "reads": str(dictionary.reads),
        "writes": str(dictionary.writes),
        "settings": json.dumps(getattr(dictionary, "settings", {})),
        "meta": json.dumps(dictionary.meta),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in dictionary.state_dict().items()}
    write_whole(path, lambda temporary: save_file(tensors, temporary, header))


def _read(file: Path, at: Ends | None) -> Dictionary:
    tensors, header = read_safetensors(file)
    if header.get("clew") != VERSION:
        held = ", ".join(sorted(tensors)) or "no tensor"
        raise ValueError(
            f"the header of {file.name} should say 'clew': '{VERSION}' and says {header.get('clew')!r}; the file holds "
            f"{held}. Files of other libraries come with their config: pass the folder"
        )
    kind, reads, writes, settings, meta = need(header, "kind", "reads", "writes", "settings", "meta", file=file.name)
    check_finite(tensors, file.name)
    reads, writes = ends(at, spans=reads != writes) if at else (Site.parse(reads), Site.parse(writes))
    arguments: dict[str, Any] = tensors | json.loads(settings) | json.loads(meta)
    try:
        return _type(kind)(reads=reads, writes=writes, **arguments)
    except TypeError as error:
        raise ValueError(f"{file.name} does not hold what a {kind!r} dictionary is built from: {error}") from error


def _type(kind: str) -> type[Dictionary]:
    known = [module.name for module in pkgutil.iter_modules(clew.dictionaries.__path__)]
    module = importlib.import_module(f"clew.dictionaries.{kind}") if kind in known else None
    for found in vars(module).values() if module else ():
        if isinstance(found, type) and issubclass(found, Dictionary) and getattr(found, "kind", None) == kind:
            return found
    raise ValueError(f"{kind!r} is not a type of dictionary that this clew has; {near(kind, known)}")


def _files(path: Path) -> list[Path]:
    return sorted(path.glob("*.safetensors"))
