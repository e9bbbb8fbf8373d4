"""A format of dictionaries: a JSON file called *.theirs with a square matrix."""

import json
from pathlib import Path

import torch

from clew.dictionaries import Dictionary, ReLU


def matches(path: Path) -> bool:
    """By its ending."""
    return path.suffix == ".theirs"


def read(path: Path, at: tuple | None) -> list[Dictionary]:
    """One dictionary at the site that the file says."""
    said = json.loads(path.read_text())
    W = torch.tensor(said["W"])
    return [ReLU(said["site"], W_enc=W, W_dec=W.T.contiguous(), b_dec=torch.zeros(len(W)), centred=False)]


def write(dictionary: Dictionary, path: Path) -> None:
    """The encoder alone."""
    path.write_text(json.dumps({"site": str(dictionary.reads), "W": dictionary.W_enc.tolist()}))
