"""An index made of another one: of a delphi cache, a Neuronpedia export, or Parquet; no model is run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clew.doors import door
from clew.files import whole
from clew.finder import names, reading
from clew.readings._recording import plant
from clew.readings.index._found import Found
from clew.readings.index._plan import FORMAT, PLAN, VERSION, read_plan
from clew.readings.index._text import save_words, words_of
from clew.readings.index.build import finished, save_chunk
from clew.readings.index.index import Index

ROOM = "readings.index.formats"


@door()
def taken(path: str | Path, *, to: str | Path, tokenizer: Any = None, seed: int = 0) -> Index:
    """Make an index of what lies at a path, in any format of clew/readings/index/formats.

    What the format does not say stays unknown: near by decoder, and of contexts alone how often a unit fires elsewhere, so
    that what is counted is counted in these.

    Args:
        to: the folder of the index.
        tokenizer: by which ids become words, where the format does not say what they stand for.
        seed: of the samples.

    Raises: ValueError naming the file and what is wrong with it, or the formats that are known.
    """
    path, folder = Path(path), Path(to)
    if not path.exists():
        raise ValueError(f"there is no {path}; name the folder of a {', '.join(names(ROOM))} export")
    if (format := reading(ROOM, path)) is None:
        raise ValueError(f"{path} is in none of the formats {', '.join(names(ROOM))}")
    with whole(path, f"{format[0]} export"):
        found: Found = format[1].read(path)
    about = _about(found, seed)
    plant(folder / PLAN, about, read_plan, "index")
    found.text.save(folder)
    save_words(folder, dict(found.words) or words_of(tokenizer, found.text.tokens))
    save_chunk(folder, about, found.text, (0, 0), range(1), found.firings)
    made = finished(folder, about, found.text)
    assert made is not None, "its only chunk has just been written"
    if found.labels:
        made.labels.update(found.labels)
        made.labels.tell(**{"taken from": str(path)})
    return made


def _about(found: Found, seed: int) -> dict[str, Any]:
    said = {"kind": found.format, "unit": "feature", "everywhere": False}
    sites = {
        site: {"reads": site, **said, "units": found.units[site], "fingerprint": _hash(firings.tensors(site))}
        for site, firings in sorted(found.firings.items())
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": found.model,
        "weights": "",
        "edits": [],
        "run in": "",
        "sites": sites,
        "keep": "all" if found.whole else "top",
        "top": 1 << 30,
        "sample": 8,
        "seed": seed,
        "tokens": len(found.text.tokens),
        "positions": int(found.text.kept.sum()),
        "chunk": len(found.text.tokens),
        "chunks": 1,
        "policy": {"packing": "none", "taken from": found.format, "hash": _hash(vars(found.text))},
    }


def _hash(arrays: Mapping[str, np.ndarray]) -> str:
    """Of all that is in them: of a site what fires, for its dictionary is not known."""
    content = hashlib.sha256()
    for _, array in sorted(arrays.items()):
        content.update(array.tobytes())
    return content.hexdigest()[:16]
