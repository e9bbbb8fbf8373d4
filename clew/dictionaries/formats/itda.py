"""ITDA as its authors save it: a run's folder with atoms.pt [unit, d], atom_indices.pt and metadata.yaml.

Nothing is taken off x first, so b_dec is zero here. Leask et al. 2025, arXiv:2505.17769; pleask/itda.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.formats._hooks import Ends, ends
from clew.dictionaries.formats._tensors import checked, need, read_flat_yaml, read_torch
from clew.dictionaries.itda import ITDA

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
    config = read_flat_yaml(path / CONFIG)
    k, layer = need(config, "k", "layer", file=CONFIG)
    atoms = read_torch(path / ATOMS)
    if not isinstance(atoms, Tensor):
        raise ValueError(f"{ATOMS} must hold one tensor [unit, d], not a {type(atoms).__name__}")
    atoms = checked({"atoms": atoms}, ATOMS)["atoms"]
    origins = read_torch(path / ORIGINS).tolist() if (path / ORIGINS).is_file() else None
    reads, _ = ends(at, config.get("submodule_name") or f"blocks.{layer}.hook_resid_post")
    b_dec = torch.zeros_like(atoms[0])
    return [ITDA(reads, atoms=atoms, b_dec=b_dec, k=int(k), format="itda", config=config, origins=origins)]
