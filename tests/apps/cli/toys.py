"""What commands are tried on: small things to save, and a method whose options are of every kind."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from clew.apps.cli import run
from clew.changes import Add, Update
from clew.circuits.circuit import Circuit
from clew.labels import Labels
from clew.sites import Site, Weight
from clew.stack import Stack
from tests.models.tiny import model_of


def typed(words: str) -> int:
    """The exit code of a command as it is typed, words apart."""
    return run(words.split())


def small_circuit() -> Circuit:
    site = Site("resid", 0)
    index = np.arange(3)
    columns = {"site": index * 0, "unit": index, "position": index * 0 - 1, "score": np.array([0.1, -0.5, 0.3])}
    return Circuit((site,), {site: 8}, **columns, patch_mean=np.zeros(3), labels=Labels.of({"resid.0/1": "plural"}))


def steady(
    model: object,
    behaviour: object,
    *,
    steps: int = 10,
    mode: Literal["fast", "slow"] = "fast",
    sizes: Sequence[int] = (1, 2),
    exact: bool = False,
    rule: Callable | None = None,
) -> Circuit:
    """A method.

    Args:
        steps: points on the line,
            in number.
        mode, exact: how.

    Returns: a circuit.
    """
    return small_circuit()


def shift(seed: int = 0) -> torch.Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(seed))


def added(path: str = "add.safetensors", at: str = "resid.1") -> Path:
    """A file of one vector that is added to a site of the tiny model."""
    return Stack((Add(Site.parse(at), vector=shift()),), "a shift", {"norm": "natural"}).save(path)


def updated(path: str = "weights.safetensors", at: str = "down.1", family: str = "llama") -> Path:
    """A file of one update of a weight of the tiny model."""
    out, reads = model_of(family).body.linear(at).matrix().shape
    update = Update(Weight(at), left=torch.ones(out, 1), right=torch.ones(1, reads), scale=0.3)
    return Stack((update,), "ones").save(path)


def found(words: str) -> Circuit:
    """What `clew find` saves of the task in the fixture `folder`."""
    assert typed(f"find tiny task.jsonl --all-pairs --by attribution_patching {words}") == 0
    return Circuit.load("circuit.json")
