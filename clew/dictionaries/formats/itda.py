"""ITDA as its authors save it: a run's folder with atoms.pt [unit, d], atom_indices.pt and metadata.yaml.

Nothing is taken off x first, so b_dec is zero here. Leask et al. 2025, arXiv:2505.17769; pleask/itda.
"""

from __future__ import annotations

from pathlib import Path

import torch

from clew.archives import read_torch
from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._tensors import made, need, pick, read_flat_yaml, typed_tensor, whole_number
from clew.dictionaries.hooks import Ends, ends
from clew.dictionaries.itda import ITDA
from clew.files import entry_or

ATOMS, ORIGINS, CONFIG = "atoms.pt", "atom_indices.pt", "metadata.yaml"


def matches(path: Path) -> bool:
    """A folder with atoms.pt."""
    return (path / ATOMS).is_file()


def read(path: Path, at: Ends | None) -> list[Dictionary]:
    """The one dictionary of a run; `meta["origins"]` says of each unit from which sequence and token it was taken.

    Without a submodule_name the layer is the stream after that block, the only site its authors record.
    """
    if not (path / CONFIG).is_file():
        raise ValueError(f"there is {ATOMS} but no {CONFIG} beside it; fetch both")
    config = read_flat_yaml(path / CONFIG, ("k", "layer", "submodule_name"))
    k, layer = need(config, "k", "layer", file=CONFIG)
    atoms = pick({"atoms": read_torch(path / ATOMS)}, {"atoms": "atoms"}, ATOMS)["atoms"]
    if atoms.ndim != 2:
        raise ValueError(f"{ATOMS} must hold one tensor [unit, d], not one of shape {list(atoms.shape)}")
    hook = entry_or(config, "submodule_name", str, None, origin=CONFIG)
    reads, _ = ends(at, hook or f"blocks.{whole_number(layer, f'{CONFIG}: layer', at_least=0)}.hook_resid_post")
    k, b_dec = whole_number(k, f"{CONFIG}: k"), torch.zeros_like(atoms[0])
    more = {"format": "itda", "config": config, "origins": _origins(path / ORIGINS, len(atoms))}
    return [made(ATOMS, ITDA, reads, atoms=atoms, b_dec=b_dec, k=k, **more)]


def _origins(file: Path, units: int) -> list[list[int]] | None:
    """The sequence and the token that each unit was taken from, where the run says it."""
    if not file.is_file():
        return None
    held = typed_tensor(read_torch(file), file.name)
    if held.dtype not in (torch.int64, torch.int32) or held.shape != (units, 2) or bool((held < 0).any()):
        raise ValueError(
            f"{file.name} is {held.dtype} {list(held.shape)}; counts from 0 on, [{units}, 2], are due there"
        )
    return held.tolist()
