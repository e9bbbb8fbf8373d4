"""Atlases made up for pages: as many behaviours as are asked for, with words of our own."""

from dataclasses import replace
from typing import Any

import numpy as np

from clew.report import Row
from clew.studies.atlas.atlas import Atlas
from clew.studies.atlas.contexts import COUNTED
from clew.studies.atlas.entry import Check, Entry, Example, Found

WORDS = "rose river lamp stone window garden letter copper harbour winter".split()
HOSTILE = "</script><img src=x onerror=alert(1)><b>"


def atlas(n: int = 12, *, letters: int = 60, **changes: Any) -> Atlas:
    """Behaviour 0 is trivial, 1 has no name and no circuit, 2 is joined with 3, and 4 has a hostile name."""
    draw = np.random.default_rng(0)
    entries = tuple(_entry(i, n, letters, draw) for i in range(n))
    names = {"resid.3/7": "what grows", "resid.3/8": HOSTILE}
    record = {"text": "abc", "wiring": {"nodes": 40}}
    made = Atlas("tiny", ("garden", "harbour"), record, dict.fromkeys(COUNTED, 900), {4: 0.7}, entries, names)
    return replace(made, **changes)


def _entry(i: int, n: int, letters: int, draw: np.random.Generator) -> Entry:
    word, other = WORDS[i % 10], WORDS[(i // 10 + 3) % 10]
    name = "" if i == 1 else HOSTILE if i == 4 else f"'{other}' before '{word}'"
    said = " ".join(draw.choice(WORDS, letters // 6))
    examples = tuple(Example(f"{said} {k} the {other}", f" {word}", k % 2) for k in range(6))
    return Entry(
        id=i,
        name=name,
        usual=f"'{other}' then '{word}'",
        fit=(None, None) if i == 1 else (round(float(draw.random()), 3), round(float(draw.random()), 3)),
        size=max(4, 40 + n - i),
        documents=3,
        silhouette=round(float(draw.random()), 4),
        entropy=round(float(draw.random()), 4),
        ngrams=(1.0, 0.9, 0.5) if i % 7 == 0 else (1.0, 0.4, 0.1),
        trivial=i % 7 == 0,
        answers=((f" {word}", 9), ("\n", 2)),
        examples=examples,
        at=(float(draw.normal()), float(draw.normal()) / 2),
        circuit=None if i == 1 else _found(i, draw),
        near=tuple((j, 0.8) for j in ((i + 3) % n, (i + 5) % n) if j != i),
        same_as=3 if i == 2 else None,
    )


def _found(i: int, draw: np.random.Generator) -> Found:
    units = [7, *(8 for _ in range(i % 3 == 0)), *map(int, 100 + draw.integers(0, 700, 38) + 700 * np.arange(38))]
    nodes = [
        (f"resid.{3 if u < 100 else u % 30}/{u}", float(f"{draw.normal() / (k + 1):.4g}")) for k, u in enumerate(units)
    ]
    own = round(float(draw.random()), 4)
    return Found(
        nodes=(*nodes, ("resid.3/error", 0.001)),
        scored=400,
        edges=12,
        rows=(
            Row("faithfulness", own, own - 0.1, own + 0.1, "mean", 40, 9),
            Row("faithfulness", 0.1, float("nan"), float("nan"), "random, mean", 40, 9),
            Row("faithfulness p", 0.5, 0.1, 0.9, "mean", 40, 9),
            Row("completeness", 0.6, 0.5, 0.7, "mean", 40, 9),
        ),
        checks={"beginnings": Check(18, 0.94, 0.21), "words": Check(0, None, None)},
    )
