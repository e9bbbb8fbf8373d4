"""Our own format: one safetensors file per dictionary; what is not a tensor stands in its header.

The header says {"clew": "1", "kind", "reads", "writes", "settings", "meta"}, the last two as JSON.
Any type can be saved: the class is the one Dictionary of clew/dictionaries/<kind>.py with that `kind`, or what another
package's entry point of "clew.dictionaries" names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clew import finder
from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats import circuit_tracer
from clew.dictionaries.formats._hooks import Ends, ends
from clew.dictionaries.formats._tensors import need
from clew.near import near
from clew.sites import Site
from clew.tensors import check_finite, read_tensors, write_tensors

VERSION = "1"
PACK = ".pack.safetensors"
"""Ending of the compact form, `clew.dictionaries.formats.pack`."""
OTHERS = {"cfg.json", "config.json", "sae_weights.safetensors", "sae.safetensors", "params.safetensors"}
"""Files that mark a folder with safetensors in it as another library's."""


def matches(path: Path) -> bool:
    """A .safetensors file that is no pack and no layer of circuit-tracer's, or a folder of such files alone."""
    if circuit_tracer.matches(path):
        return False
    if path.is_file():
        return path.suffix == ".safetensors" and not path.name.endswith(PACK)
    return path.is_dir() and bool(_files(path)) and not any((path / name).exists() for name in OTHERS)


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """One dictionary of a file, or all of a folder; tensors keep their precision."""
    packs = sorted(path.glob(f"*{PACK}")) if path.is_dir() else []
    if packs:
        raise ValueError(f"it holds both {_files(path)[0].name} and {packs[0].name}; pass the path of a file")
    return [_read(file, at) for file in ([path] if path.is_file() else _files(path))]


def write(dictionary: Dictionary, path: Path) -> None:
    """Save one dictionary, whole or not at all. Raises: ValueError when `path` does not end in .safetensors."""
    if path.suffix != ".safetensors" or path.name.endswith(PACK):
        kept = f"; {PACK} is the ending of format='pack'" if path.name.endswith(PACK) else ""
        raise ValueError(f"{path} must end in .safetensors, as in '{dictionary.writes}.safetensors'{kept}")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in dictionary.state_dict().items()}
    write_tensors(path, tensors, {"clew": VERSION} | header(dictionary))


def header(dictionary: Dictionary) -> dict[str, str]:
    """What is not a tensor, for the header of a file."""
    return {
        "kind": dictionary.kind,
        "reads": str(dictionary.reads),
        "writes": str(dictionary.writes),
        "settings": json.dumps(getattr(dictionary, "settings", {})),
        "meta": json.dumps(dictionary.meta),
    }


def built(tensors: dict[str, Any], header: dict[str, str], file: str, at: Ends | None) -> Dictionary:
    """The dictionary of these tensors and this header."""
    kind, reads, writes, settings, meta = need(header, "kind", "reads", "writes", "settings", "meta", file=file)
    check_finite(tensors, file)
    reads, writes = ends(at, spans=reads != writes) if at else (Site.parse(reads), Site.parse(writes))
    arguments: dict[str, Any] = tensors | json.loads(settings) | json.loads(meta)
    try:
        return _type(kind)(reads=reads, writes=writes, **arguments)
    except TypeError as error:
        raise ValueError(f"{file} does not hold what a {kind!r} dictionary is built from: {error}") from error


def _read(file: Path, at: Ends | None) -> Dictionary:
    tensors, found = read_tensors(file)
    if found.get("clew") != VERSION:
        held = ", ".join(sorted(tensors)) or "no tensor"
        raise ValueError(
            f"the header of {file.name} should say 'clew': '{VERSION}' and says {found.get('clew')!r}; the file holds "
            f"{held}. Files of other libraries come with their config: pass the folder"
        )
    return built(tensors, found, file.name, at)


def _type(kind: str) -> type[Dictionary]:
    known = finder.names("dictionaries")
    file = finder.file("dictionaries", kind) if kind in known else None
    for found in (file, *vars(file or object).values()):
        if isinstance(found, type) and issubclass(found, Dictionary) and getattr(found, "kind", None) == kind:
            return found
    raise ValueError(f"{kind!r} is not a type of dictionary that this clew has; {near(kind, known)}")


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.glob("*.safetensors") if not file.name.endswith(PACK))
