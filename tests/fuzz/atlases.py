"""Doors of what an atlas keeps in its folder."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import torch

from clew.apps.cli.atlas import _asked, _keep
from clew.studies.atlas.atlas import Atlas
from clew.studies.atlas.build import read_vectors
from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.contexts import Contexts
from tests.fuzz.doors import door
from tests.studies.atlas.toys import small


@door(
    "an atlas",
    lambda path: dataclasses.replace(Atlas.load(path), folder=None),
    "studies/atlas/atlas",
    "studies/atlas/entry",
)
def _(folder: Path) -> Path:
    return dataclasses.replace(small(), entries=(dataclasses.replace(small().entries[0], near=()),)).save(folder)


def columns(path: Path) -> Any:
    """The contexts of a file as tensors."""
    held = Contexts.load(path)
    names = ("ids", "length", "answer", "loss", "document")
    return {name: torch.from_numpy(getattr(held, name)) for name in names} | {"count": list(held.counts.values())}


@door("contexts", columns, "studies/atlas/contexts")
def _(folder: Path) -> Path:
    return Path(shutil.copy(small().folder / "contexts.safetensors", folder))


@door("vectors", lambda path: torch.from_numpy(read_vectors(path)), "studies/atlas/build")
def _(folder: Path) -> Path:
    return Path(shutil.copy(small().folder / "vectors.safetensors", folder))


def clusters(path: Path) -> Any:
    held = Clustering.load(path)
    return [torch.from_numpy(held.which), list(held.stability.values())]


@door("clusters", clusters, "studies/atlas/clustering")
def _(folder: Path) -> Path:
    return Path(shutil.copy(small().folder / "clusters.safetensors", folder))


def words(path: Path) -> Any:
    """What an atlas was asked for by, as the command line reads it."""
    _, given = _asked(path.parent)
    return {name: str(value) for name, value in given.items() if name != "to"}


@door("what an atlas was asked for by", words, "apps/cli/atlas")
def _(folder: Path) -> Path:
    _keep(folder, ["smollm2-135m", "wikipedia", "--k", "20", "50", "--length", "16", "--no-right"])
    return folder / "asked.json"
