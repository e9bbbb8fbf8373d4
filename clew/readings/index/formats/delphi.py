"""delphi's cache of latents: a folder for each hookpoint, a file for each range of units, in the order of the text.

    latents/<hookpoint>/<first>_<last>.safetensors   locations [n, 3] (row, position, unit - first), activations, tokens
    latents/<hookpoint>/config.json

With it come explanations and their scores (`_delphi_labels.py`).

Rows are equally long; a shorter window is filled up with the id 0, and `lengths` in our config says how long it is. A value
of 1e-5 or less is none there, so what fires with less is left out. Source: EleutherAI/delphi at 3c2e139 (2025-11-29).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from clew.dictionaries.hooks import site as site_of
from clew.files import entries, entry_or, read_any_json, typed, whole, write_json
from clew.readings.index._found import Found, sorted_firings, text_of
from clew.readings.index._text import write_arrays
from clew.readings.index.formats import _delphi_labels
from clew.readings.index.index import Index
from clew.sites import Site
from clew.tensors import check_held, map_tensors

SPLITS = 5
"""Files a hookpoint, as there."""
LEAST = 1e-5
NAMES = {"resid": "layers.{}", "mlp": "layers.{}.mlp", "attn": "layers.{}.attn"}
"""How sites are called there; others keep our address."""
SPLIT = re.compile(r"(\d+)_(\d+)\.safetensors")


def matches(path: Path) -> bool:
    """Whether a folder is a cache, its `latents`, or one hookpoint of it."""
    return bool(_hookpoints(path))


def read(path: Path) -> Found:
    """All hookpoints of a cache. Raises: ValueError naming the file and what is wrong with it."""
    text, firings, units, models = None, dict[str, Any](), dict[str, int](), list[str]()
    sites = {folder.name: _site(folder) for folder in _hookpoints(path)}
    for folder in _hookpoints(path):
        site = sites[folder.name]
        config = read_any_json(folder / "config.json") if (folder / "config.json").exists() else {}
        with whole(folder, "hookpoint of a delphi cache"):
            tokens, place, unit, value = _hookpoint(folder)
            rows, length = tokens.shape
            lengths = _lengths(config, rows, length, f"{folder}/config.json")
            models.append(entry_or(config, "model_name", str, "", origin=f"{folder}/config.json"))
            real = np.arange(length) < np.array(lengths)[:, None]
            if text is not None and not np.array_equal(text[0], tokens):
                raise ValueError("its tokens are other ones than those of another hookpoint")
            text = (tokens, real)
            where = np.full(real.size, -1)
            where[real.ravel()] = np.arange(real.sum())
            if bool((where[place] < 0).any()):
                raise ValueError("a unit fires after the end of a row")
            units[site] = _splits(folder)[-1][1] + 1
            firings[site] = sorted_firings(where[place], unit, value, int(real.sum()), units[site])
    assert text is not None, "there is a hookpoint where it matches"
    tokens, real = text
    labels = _delphi_labels.read(path, sites, units)
    return Found("delphi", models[0], text_of(tokens[real], real.sum(1).tolist()), {}, firings, units, labels)


def _lengths(config: Any, rows: int, length: int, origin: str) -> list[int]:
    """How long each row is: as our config says, else all of it."""
    held = entry_or(config, "lengths", list, [length] * rows, origin=origin)
    found = entries({"lengths": held}, "lengths", int, origin=origin, at_least=1, at_most=length)
    if len(found) != rows:
        raise ValueError(f"{origin} gives the lengths of {len(found)} rows; there are {rows}")
    return found


def write(index: Index, folder: Path, sites: Sequence[Site]) -> Path:
    """Write `latents` below a folder, and explanations where there are labels. Returns: the folder."""
    text, lengths = index.text, np.diff(index.text.windows)
    tokens = np.zeros((len(lengths), int(lengths.max(initial=1))), np.int64)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = text.tokens
    called = {
        str(site): NAMES.get(site.part, "{}").format(site.layer if site.part in NAMES else site) for site in sites
    }
    for site in sites:
        place = folder / "latents" / called[str(site)]
        place.mkdir(parents=True, exist_ok=True)
        cuts = np.linspace(0, index.units(site), min(SPLITS, index.units(site)) + 1).astype(int).tolist()
        for first, end in pairwise(cuts):
            write_arrays(place / f"{first}_{end - 1}.safetensors", _split(index, site, first, end, tokens))
        write_json(place / "config.json", _config(index, tokens.shape[1], lengths.tolist()))
    _delphi_labels.write(index.labels.all(), folder, called)
    return folder


def _config(index: Index, context: int, lengths: list[int]) -> dict[str, Any]:
    """The settings of a cache as there, and the lengths of our windows."""
    data = {"dataset_repo": "", "dataset_split": "", "dataset_name": "", "dataset_column": "text"}
    sizes = {"batch_size": 32, "cache_ctx_len": context, "n_tokens": len(index.tokens), "n_splits": SPLITS}
    return {**data, **sizes, "model_name": index.tokenizer_name, "lengths": lengths}


def _split(index: Index, site: Site, first: int, end: int, tokens: np.ndarray) -> dict[str, np.ndarray]:
    rows = [index.row(site, unit) for unit in range(first, end)]
    place = np.concatenate([row.place for row in rows])
    unit = np.repeat(np.arange(end - first), [len(row) for row in rows])
    value = np.concatenate([row.value for row in rows])
    kept = np.abs(value) > LEAST
    place, unit, value = place[kept], unit[kept], value[kept]
    by = np.lexsort((unit, place))
    window = np.searchsorted(index.text.windows, place, side="right") - 1
    where = np.stack([window, place - index.text.windows[window], unit], axis=1)[by]
    small = len(tokens) < 1 << 16 and end - first < 1 << 16
    held = {"locations": where.astype(np.uint16 if small else np.uint32), "activations": value[by].astype(np.float16)}
    return {**held, "tokens": tokens}


def _hookpoints(path: Path) -> list[Path]:
    """The folders of a cache that hold ranges of units."""
    if not path.is_dir():
        return []
    for folder in (path, path / "latents"):
        if found := [f for f in (folder, *sorted(p for p in folder.glob("*") if p.is_dir())) if _splits(f)]:
            return found
    return []


def _splits(folder: Path) -> list[tuple[int, int, Path]]:
    """(first unit, last unit, file) of a hookpoint, by the first."""
    named = ((SPLIT.fullmatch(path.name), path) for path in folder.glob("*.safetensors"))
    return sorted((int(name[1]), int(name[2]), path) for name, path in named if name)


def _site(folder: Path) -> str:
    name = folder.name
    if (found := site_of(name)) is None:
        try:
            found = Site.parse(name)
        except ValueError as error:
            raise ValueError(f"{folder} is a hookpoint by a name we do not know; rename it, as layers.3.mlp") from error
    return str(found)


def _hookpoint(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(tokens [row, position], and of each firing its place in them laid flat, unit, value)."""
    tokens, parts, due = None, list[tuple[np.ndarray, ...]](), 0
    for first, last, path in _splits(folder):
        held = map_tensors(path)
        check_held(held, ("locations", "activations", "tokens"), str(path))
        where, value = held["locations"], held["activations"]
        typed(first, f"{path}: its first unit, after those of the file before,", int, at_least=due, at_most=due)
        if where.dtype.kind not in "ui" or where.ndim != 2 or where.shape != (len(value), 3) or value.ndim != 1:
            raise ValueError(
                f"locations in {path} are {where.dtype} {list(where.shape)}; whole numbers [firing, 3] are due"
            )
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            raise ValueError(f"activations in {path} are no finite numbers")
        mine = held["tokens"]
        if mine.ndim != 2 or mine.dtype.kind not in "iu" or not mine.size or mine.min() < 0 or mine.max() >= 1 << 31:
            raise ValueError(f"tokens in {path} are no ids [row, position]")
        if tokens is not None and not np.array_equal(tokens, mine):
            raise ValueError(f"tokens in {path} are others than in the file before")
        tokens, where, due = mine, where.astype(np.int64), last + 1
        if len(where) and ((where < 0).any() or (where.max(0) >= [*mine.shape, due - first]).any()):
            raise ValueError(
                f"locations in {path} are beyond its {mine.shape[0]} rows of {mine.shape[1]}, or its units"
            )
        parts.append((where[:, 0] * mine.shape[1] + where[:, 1], where[:, 2] + first, value))
    assert tokens is not None
    place, unit, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    fires = value != 0
    return tokens, place[fires], unit[fires], value[fires]
