"""Folders of other libraries are written whole or not at all, also when the writer is killed.

CLEW_KILLS=100 kills so many writers; a few by default.
"""

import os
import random
import signal
import time
import zlib
from pathlib import Path

import pytest
import torch

from clew.dictionaries import Dictionary, TopK
from clew.scale.unfinished import sweep

KILLS = int(os.environ.get("CLEW_KILLS", "5"))
WHERE = {"saelens": "mine", "sparsify": "layers.3"}


def dictionary(k: int) -> Dictionary:
    g = torch.Generator().manual_seed(k)
    shapes = {"W_enc": (64, 512), "b_enc": (512,), "W_dec": (512, 64), "b_dec": (64,)}
    return TopK(
        "resid.3", k=k, centred=True, **{name: torch.randn(shape, generator=g) for name, shape in shapes.items()}
    )


def saving(folder: Path, format: str) -> int:
    """A process that saves two dictionaries in turn until it is killed."""
    if pid := os.fork():
        return pid
    both = dictionary(2), dictionary(3)
    while True:
        for one in both:
            one.save(folder, format=format)


def mixtures(place: Path, format: str, kills: int) -> int:
    """Kills so many who save one of two dictionaries over the other: after how many the folder holds neither whole."""
    folder, chance, mixed = place / WHERE[format], random.Random(zlib.crc32(format.encode())), 0
    known = {k: Dictionary.load(dictionary(k).save(folder, format=format))[0].fingerprint for k in (2, 3)}
    torch.set_num_threads(1)  # a forked process has no threads of its parent's
    for _ in range(kills):
        pid = saving(folder, format)
        time.sleep(chance.uniform(0.0, 0.05))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = Dictionary.load(folder)
        mixed += [known.get(one.k) for one in found] != [found[0].fingerprint]
    return mixed


@pytest.mark.parametrize("format", WHERE)
def test_a_killed_writer_leaves_one_of_the_two_and_no_mixture(tmp_path: Path, format: str) -> None:
    assert mixtures(tmp_path, format, KILLS) == 0
    sweep(tmp_path)  # as the next process does
    dictionary(2).save(tmp_path / WHERE[format], format=format)
    assert [path.name for path in tmp_path.iterdir()] == [WHERE[format]]


def test_a_folder_that_holds_something_else_is_not_taken(tmp_path: Path) -> None:
    dictionary(2).save(tmp_path / "mine", format="saelens")
    (tmp_path / "mine" / "sparsity.safetensors").write_text("of the other one")
    with pytest.raises(ValueError, match=r"mine also holds sparsity\.safetensors; name a folder"):
        dictionary(3).save(tmp_path / "mine", format="saelens")
