"""Parquet, for tables elsewhere: `text.parquet`, a row for each window; `words.parquet`; and for each site its firings.

    <site>/<first>-<end>.parquet    unit, place, window, position, token, value: sorted by unit, the largest size first
    text.parquet                    document, tokens, kept              words.parquet    id, word

Needs pyarrow (`pip install 'clew[data]'`). What is read back is the index that was written, where that kept all firings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clew.files import check_whole, entry, parse_json, whole
from clew.readings.index._found import Found, sorted_firings
from clew.readings.index._text import Text
from clew.readings.index.index import Index
from clew.sites import Site

ROWS = 122_880
"""In a group of rows."""
UNITS = 1 << 15
"""In a file."""
ABOUT = b"clew"
NAME = re.compile(r"(\d+)-(\d+)\.parquet")


def matches(path: Path) -> bool:
    """Whether a folder holds the tables."""
    return (path / "text.parquet").is_file() and (path / "words.parquet").is_file()


def write(index: Index, folder: Path, sites: Sequence[Site]) -> Path:
    """Write the tables. Returns: the folder."""
    arrow, text = _pyarrow(), index.text
    starts = text.windows[:-1]
    document = text.origin[np.searchsorted(text.documents, starts, side="right") - 1]
    tokens, kept = (_lists(arrow, flat, text.windows) for flat in (text.tokens, text.kept))
    about = {"model": index.about["model"], "units": {str(site): index.units(site) for site in sites}}
    about["whole"] = index.about["keep"] == "all" and not any(index.about["sites"][str(s)]["everywhere"] for s in sites)
    _save(arrow, folder / "text.parquet", {"document": document, "tokens": tokens, "kept": kept}, about)
    _save(arrow, folder / "words.parquet", {"id": [*index.words], "word": [*index.words.values()]}, {})
    for site in sites:
        for first in range(0, index.units(site), UNITS):
            end = min(first + UNITS, index.units(site))
            _save(arrow, folder / str(site) / f"{first}-{end}.parquet", _firings(index, site, first, end), {})
    return folder


def read(path: Path) -> Found:
    """Read what `write` wrote. Raises: ValueError naming the file and what is wrong with it."""
    (tables, about), (words, _) = _load(path / "text.parquet"), _load(path / "words.parquet")
    with whole(path / "text.parquet", "table of an index"):
        check_whole(about, ("model", "units", "whole"), "what it says of itself")
        model, all_there = entry(about, "model", str, origin="about"), entry(about, "whole", bool, origin="about")
        text = _text(tables)
    with whole(path / "words.parquet", "table of words"):
        ids, said = (_column(words, name) for name in ("id", "word"))
        named = dict(zip(ids, said, strict=True))
        if not all(type(i) is int and i >= 0 and type(word) is str for i, word in named.items()):
            raise ValueError("its rows are no ids from 0 on and words")
    firings, units = dict[str, Any](), dict[str, int]()
    for site in entry(about, "units", dict, origin=f"{path / 'text.parquet'}"):
        units[site] = entry(about["units"], site, int, origin=f"{path / 'text.parquet'}: units", at_least=1)
        firings[str(Site.parse(site))] = _rows(path / site, text, units[site])
    return Found("parquet", model, text, dict(sorted(named.items())), firings, units, whole=all_there)


def _firings(index: Index, site: Site, first: int, end: int) -> dict[str, Any]:
    rows = [index.row(site, unit) for unit in range(first, end)]
    place = np.concatenate([row.place for row in rows])
    window = np.searchsorted(index.text.windows, place, side="right") - 1
    where = {"window": window.astype(np.int32), "position": (place - index.text.windows[window]).astype(np.int32)}
    unit = np.repeat(np.arange(first, end, dtype=np.int32), [len(row) for row in rows])
    value = np.concatenate([row.value for row in rows])
    return {"unit": unit, "place": place, **where, "token": index.tokens[place], "value": value}


def _rows(folder: Path, text: Text, units: int) -> Any:
    """The firings of a site as rows of tokens."""
    found = sorted((int(n[1]), int(n[2]), p) for p in folder.glob("*") if (n := NAME.fullmatch(p.name)))
    ends = [0, *(end for _, end, _ in found)]
    if [first for first, _, _ in found] != ends[:-1] or ends[-1] != units:
        raise ValueError(f"{folder} does not hold the tables of its {units} units")
    parts = [_part(path, text, first, end) for first, end, path in found]
    place, unit, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sorted_firings(place, unit, value, len(text.tokens), units)


def _part(path: Path, text: Text, first: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table, _ = _load(path)
    with whole(path, "table of firings"):
        place, unit, value = (np.asarray(_column(table, name)) for name in ("place", "unit", "value"))
        if len(place) and (place.dtype.kind != "i" or unit.dtype.kind != "i" or value.dtype.kind != "f"):
            raise ValueError("its places, units and values are no numbers")
        if len(place) and (
            place.min() < 0 or place.max() >= len(text.tokens) or unit.min() < first or unit.max() >= end
        ):
            raise ValueError(
                f"its places are beyond the {len(text.tokens)} tokens, or its units beyond {first} to {end - 1}"
            )
        if not np.isfinite(value).all() or (value == 0).any():
            raise ValueError("its values are no finite numbers other than 0")
    return place.astype(np.int64), unit.astype(np.int64), value.astype(np.float32)


def _text(table: Any) -> Text:
    document, tokens, kept = (_column(table, name) for name in ("document", "tokens", "kept"))
    lengths = [len(row) for row in tokens]
    flat, which = np.array([t for row in tokens for t in row]), np.array([k for row in kept for k in row])
    if not len(flat) or flat.dtype.kind != "i" or which.dtype != bool or len(which) != len(flat) or flat.min() < 0:
        raise ValueError("its tokens are no ids from 0 on, each with whether it counts")
    if [len(row) for row in kept] != lengths or not all(type(d) is int and d >= 0 for d in document):
        raise ValueError("its rows are no windows of a document, each with as many of kept as of tokens")
    ends, of = np.append(0, np.cumsum(lengths)), np.array(document)
    first = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
    starts = np.append(ends[first], ends[-1])
    return Text(flat.astype(np.int32), ends, starts, of[first].astype(np.int32), which)


def _lists(arrow: Any, flat: np.ndarray, ends: np.ndarray) -> Any:
    return arrow.ListArray.from_arrays(arrow.array(ends.astype(np.int32)), arrow.array(np.ascontiguousarray(flat)))


def _column(table: Any, name: str) -> list[Any]:
    """Raises: ValueError for a column that is not there, or holds nothing somewhere."""
    if name not in table.column_names:
        raise ValueError(f"it has no column {name!r}; it has {', '.join(table.column_names)}")
    if table.column(name).null_count:
        raise ValueError(f"its column {name!r} holds nothing somewhere")
    return table.column(name).to_pylist()


def _save(arrow: Any, path: Path, columns: dict[str, Any], about: dict[str, Any]) -> None:
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    from clew.files import write_whole

    table = arrow.table(columns).replace_schema_metadata({ABOUT: json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"row_group_size": ROWS, "compression": "zstd", "write_page_checksum": True}
    write_whole(path, lambda place: parquet.write_table(table, place, **options))


def _load(path: Path) -> tuple[Any, Any]:
    """A table, and what it says of itself."""
    _pyarrow()
    from pyarrow import ArrowException  # pyright: ignore[reportMissingImports]
    from pyarrow.parquet import ParquetFile  # pyright: ignore[reportMissingImports]

    with whole(path, "Parquet file"):
        try:
            table = ParquetFile(path, page_checksum_verification=True).read()
        except (ArrowException, OSError) as error:
            raise ValueError(f"{path} is no Parquet file, or no whole one ({error})") from error
        said = (table.schema.metadata or {}).get(ABOUT, b"{}").decode()
        return table, parse_json(said, f"{path}: what it says of itself")


def _pyarrow() -> Any:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("Parquet needs the package pyarrow: pip install 'clew[data]'") from error
    return pyarrow
