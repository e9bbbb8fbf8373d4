"""A model that knows eight capitals, a text that asks for them, and an atlas of both."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import clew
from clew.studies.atlas.atlas import Atlas
from clew.studies.atlas.build import build
from clew.studies.atlas.corpus import Corpus
from clew.studies.atlas.options import Finding, Grouping, Wiring
from tests.stage import CAPITALS, names

FINDING = Finding(loss=2.0, each="window", length=8, window=12)
GROUPING = Grouping(vectors="features", k=(8,), dims=64)
WIRING = Wiring(nodes=5)
LANDS = list(CAPITALS)


def view() -> clew.Model:
    model: clew.Model = names()["view"]
    return model


def texts() -> list[str]:
    """Each capital asked for five times, each time after other words."""
    befores = (
        "It rained all day .",
        "The old boat is sold .",
        "She sold the old keys .",
        "A pack of blue roses .",
        "Write to Ada at one .",
    )
    return [f"{before} The capital of {land} is {CAPITALS[land]} ." for before in befores for land in LANDS]


def corpus() -> Corpus:
    return Corpus.of({"ours": texts()[:12], "others": texts()[12:]})


def made(to: Path, **how: Any) -> Atlas:
    """An atlas of that, in a folder."""
    return build(view(), corpus(), to, **{"finding": FINDING, "grouping": GROUPING, "wiring": WIRING} | how)


@cache
def small() -> Atlas:
    """One that nobody writes to; in a folder that lasts as long as the process."""
    import atexit
    import shutil
    import tempfile

    to = Path(tempfile.mkdtemp(prefix="clew-"))
    atexit.register(shutil.rmtree, to, ignore_errors=True)
    return made(to)
