"""Our own format: one safetensors file per dictionary; what is not a tensor stands in its header.

The header says {"clew": "1", "kind", "reads", "writes", "settings", "meta"}, the last two as JSON. Files of version 0.1 have
no sum in it, by which a lost tensor would be seen; so they must hold what may be left out today, a b_enc.
Any type can be saved: the class is the one Dictionary of clew/dictionaries/<kind>.py with that `kind`, or what another
package's entry point of "clew.dictionaries" names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clew import finder
from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats import circuit_tracer
from clew.dictionaries.formats._tensors import made, need
from clew.dictionaries.gated import Gated
from clew.dictionaries.hooks import Ends, ends
from clew.files import check_names, entries, entry, jsonable, parse_json, typed
from clew.near import near
from clew.sites import Site
from clew.tensors import (
    check_finite,
    check_floats,
    check_held,
    is_signed,
    read_tensors,
    write_tensors,
)

VERSION = "1"
PACK = ".pack.safetensors"
"""Ending of the compact form, `clew.dictionaries.formats.pack`."""
HEADER = ("clew", "clew pack", "kind", "reads", "writes", "settings", "meta")
PLAIN = ("k", "d", "centred")
KINDS = {"k": int, "d": int, "centred": bool, "sizes": int, "widths": int, "scales": float}
KINDS |= dict.fromkeys(("sites", "written", "inputs", "outputs"), str)
"""Settings of our types; those that are not PLAIN are lists."""
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
        "meta": json.dumps(jsonable(dictionary.meta)),
    }


def built(file: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str], at: Ends | None) -> Dictionary:
    """The dictionary of these tensors and this header. Raises: ValueError unless it is the one that was written so."""
    check_names(header, HEADER, f"the header of {file.name}")
    kind, reads, writes, *plain = need(header, "kind", "reads", "writes", "settings", "meta", file=file.name)
    settings, meta = (_object(text, f"{name} of {file.name}") for name, text in zip(HEADER[-2:], plain, strict=True))
    if twice := sorted(meta.keys() & (settings.keys() | tensors.keys()) | settings.keys() & tensors.keys()):
        raise ValueError(f"{file.name} says {twice[0]!r} twice, in its tensors, settings or meta")
    for name in settings.keys() & KINDS.keys():
        (entry if name in PLAIN else entries)(settings, name, KINDS[name], origin=f"settings of {file.name}")
    cls = _type(kind)
    (check_floats if cls.__module__.startswith("clew.") else check_finite)(tensors, file.name)
    reads, writes = ends(at, spans=reads != writes) if at else (Site.parse(reads), Site.parse(writes))
    found = made(file.name, cls, reads=reads, writes=writes, **tensors, **settings, **meta)
    check_held(tensors, found.state_dict(), file.name)
    _check_same(getattr(found, "settings", {}), settings, f"settings of {file.name}")
    _check_same(found.meta, meta, f"meta of {file.name}")
    if getattr(found, "b_enc", 0) is None and not isinstance(found, Gated) and not is_signed(file):
        raise ValueError(f"{file.name} holds no b_enc, and nothing says that it never did; save the dictionary again")
    return found


def _object(text: str, place: str) -> dict[str, Any]:
    return typed(parse_json(text, place), place, dict)


def _check_same(made: Any, held: Any, place: str) -> None:
    """What would be written must be what was read: a name that is unknown or lost, or a value of another kind, would not."""
    ours, theirs = (json.dumps(value, sort_keys=True) for value in (made, held))
    if ours != theirs:
        raise ValueError(f"{place} are {theirs:.200}, of which this clew makes {ours:.200}")


def _read(file: Path, at: Ends | None) -> Dictionary:
    tensors, found = read_tensors(file)
    if found.get("clew") != VERSION:
        held = ", ".join(sorted(tensors)) or "no tensor"
        raise ValueError(
            f"the header of {file.name} should say 'clew': '{VERSION}' and says {found.get('clew')!r}; the file holds "
            f"{held}. Files of other libraries come with their config: pass the folder"
        )
    return built(file, tensors, found, at)


def _type(kind: str) -> type[Dictionary]:
    known = finder.names("dictionaries")
    file = finder.file("dictionaries", kind) if kind in known else None
    for found in (file, *vars(file or object).values()):
        if isinstance(found, type) and issubclass(found, Dictionary) and getattr(found, "kind", None) == kind:
            return found
    raise ValueError(f"{kind!r} is not a type of dictionary that this clew has; {near(kind, known)}")


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.glob("*.safetensors") if not file.name.endswith(PACK))
