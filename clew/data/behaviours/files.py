"""Behaviours from files. A layout is a file of clew/data/formats/behaviours: `matches(rows)`, and a function of its name.

The function takes the rows of the file, then `name`, `model` (None, a model, or a tokenizer, for layouts in which pairs
are ours to choose), `seed` and its own options. It returns a Behaviour of all pairs that it can make, and counts the
rows of which it can make none in `dropped`. Of a layout that holds both halves, which then has `WHOLE = True`, they are
kept as they are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from clew import finder
from clew.data.behaviours.pairs import apart, grouped
from clew.files import check_whole, csv_rows, json_lines, lines, parse_json, read_text, typed, whole

Rows = list[dict[str, Any]]

FORMATS = "data.formats.behaviours"


def read(
    address: str,
    *,
    model: Any = None,
    format: str | None = None,
    test: str | None = None,
    n: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Any:
    """The behaviour in a JSON, JSON lines, CSV or TSV file.

    Args:
        address: a path, or hf://datasets/owner/name/path/in/the/data/set.
        model: a model or a tokenizer; only pairs that it can pose are kept.
        format: a layout by name; found out from the first row's columns when None.
        test: a second file, the test half. When None, `..._test` beside `..._train` if it is there; else the file
            is shuffled and halved, prompts that occur more than once staying on one side.
        n: at most this many pairs.
        options: those of the format.

    Raises: ValueError naming the file, the formats there are and the columns found.
    """
    load = partial(_read, format=format, model=model, seed=seed, options=options)
    behaviour, kept = load(address)
    if kept and test is not None:
        raise ValueError(f"{address} holds both halves of a behaviour, so test={test!r} has no place; leave it out")
    if kept:
        behaviour = replace(behaviour, source=behaviour.source or address)
    elif test := test or sibling(address):
        behaviour = replace(_joined(behaviour, load(test)[0]), source=f"{address}, {test}", seed=seed)
    else:
        pairs, split = apart(*grouped(random.Random(seed).sample(behaviour.pairs, len(behaviour))))
        behaviour = replace(behaviour, pairs=pairs, split=split, source=address, seed=seed)
    behaviour = behaviour if model is None else behaviour.bind(model)
    return behaviour if n is None else behaviour.first(n)


def sibling(address: str) -> str | None:
    """`..._test` beside `..._train`, if it is there: what is read as the test half where none is named."""
    path = Path(address)
    beside = path.with_stem(path.stem.removesuffix("_train") + "_test")
    return str(beside) if path.stem.endswith("_train") and beside.is_file() else None


def _joined(train: Any, test: Any) -> Any:
    """The pairs of two files, each a half."""
    note, dropped = " ".join(half.note for half in (train, test) if half.note), train.dropped + test.dropped
    return replace(train, pairs=train.pairs + test.pairs, split=len(train), note=note, dropped=dropped)


def _read(address: str, format: str | None, model: Any, seed: int, options: dict[str, Any]) -> tuple[Any, bool]:
    """What one file holds, and whether its halves are told there."""
    path = _fetch(address)
    with whole(path, "file of a behaviour"):
        rows = _rows(path)
        layout = format or _layout(path, rows, options)
        made = finder.load(FORMATS, layout)(rows, name=path.stem, model=model, seed=seed, **options)
        return made, getattr(finder.file(FORMATS, layout), "WHOLE", False)


def _layout(path: Path, rows: Rows, options: dict[str, Any]) -> str:
    if known := finder.reading(FORMATS, rows):
        return known[0]
    if "columns" in options:  # which the user names, so it needs no layout that we know
        return "table"
    raise ValueError(
        f"{path} has columns {', '.join(map(repr, rows[0]))}, which is none of the layouts "
        f"{', '.join(finder.names(FORMATS))}; say which column is what: columns={{'clean': ..., 'answers': ...}}, "
        "with 'patch' and 'patch_answers' if there are any, or on the command line --columns clean=NAME answers=NAME"
    )


def _fetch(address: str) -> Path:
    """The file itself. A hub address goes through the hub's own client and cache."""
    if not address.startswith("hf://"):
        path = Path(address)
        if not path.is_file():
            raise ValueError(f"there is no file {address}")
        return path
    parts = address.removeprefix("hf://").split("/", 3)
    if len(parts) < 4 or parts[0] != "datasets":
        raise ValueError(f"{address} is not a file of a data set; write hf://datasets/owner/name/path/to/file.jsonl")
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download("/".join(parts[1:3]), parts[3], repo_type="dataset"))


def _rows(path: Path) -> Rows:
    """The file as a list of records; a JSON object is one record."""
    text = read_text(path)
    if path.suffix in (".csv", ".tsv"):
        rows: Any = csv_rows(text, str(path), "\t" if path.suffix == ".tsv" else ",")
    elif path.suffix == ".json" and text.lstrip()[:1] in ("[", "{") and not _is_lines(text):
        value = parse_json(text, str(path))
        rows = value if isinstance(value, list) else [value]
    else:
        rows = [row for _, row in json_lines(text, str(path))]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{path} must hold records with named columns; it holds {'none' if not rows else 'other values'}"
        )
    for number, row in enumerate(rows, 1):
        check_whole(row, rows[0], f"row {number} of {path}, unlike row 1,")
    return rows


def _is_lines(text: str) -> bool:
    """Whether a file called .json is JSON lines after all, as the agreement files are where they were published."""
    first = [line for _, line in islice(lines(text), 2)]
    try:
        return len(first) > 1 and isinstance(parse_json(first[0], "its first line"), dict)
    except ValueError:
        return False


def strings(value: Any) -> tuple[str, ...]:
    """One answer or a list of them."""
    if value is None or value == "":
        return ()
    return tuple(map(words, value)) if isinstance(value, (list, tuple)) else (words(value),)


def words(value: Any) -> str:
    """A cell as text; a number is what is written there. Raises: ValueError for none, which must not become "None"."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"a cell holds {value!r:.80}; a text is due there")
    return str(value)


def text(row: Mapping[str, Any], number: int, column: str) -> str:
    """What the numbered row holds in a column. Raises: ValueError where that is no text."""
    return typed(row[column], f"row {number}, {column!r}", str)


def texts(rows: Rows, *columns: str) -> Iterator[tuple[str, ...]]:
    """The texts of these columns, row by row."""
    yield from (tuple(text(row, number, column) for column in columns) for number, row in enumerate(rows, 1))


def skipped(behaviour: Any, count: int, why: str) -> Any:
    """The behaviour with rows counted that made no pair."""
    if not count:
        return behaviour
    return replace(behaviour, dropped=count, note=f"{count} of {count + len(behaviour)} rows made no pair: {why}.")
