"""Writing files whole or not at all, and reading them as typed, finite values in range, with errors that help.

Every loader comes through here, so that what a file may hold is decided once: values typed, finite and in range, no name
unknown and none missing. Errors name the file and the place in it; `whole` sees to it that none goes without.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import math
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from lzma import LZMAError
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError

from clew.beside import beside, exchange
from clew.near import misspelt, near

log = logging.getLogger("clew")
PACKED, UNPACKED = ".gz", 1 << 30
"""How a packed file is called, and how many bytes come out of one at most."""


# Writing.


def write_whole(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Call `write` with a temporary name beside `path`, then rename: a crash leaves the old file as it was.

    Raises: OSError naming `path` when the disk is full or the folder cannot be written, also where safetensors says so.
    """
    path = Path(path)
    with beside(path) as place:
        write(place)
        place.chmod(0o644)
        place.replace(path)
    return path


def write_folder(path: str | Path, files: Mapping[str, Callable[[Path], None]]) -> Path:
    """Write several files into a new folder beside `path`, then put it there: it is all of the old one or all of the new.

    Args: files: by name, what writes each.
    Raises: ValueError for a folder that holds something else, which would be lost; OSError as `write_whole`.
    """
    path = Path(path)
    if path.is_dir() and (others := sorted({p.name for p in path.iterdir() if p.name[0] != "."} - files.keys())):
        raise ValueError(f"{path} also holds {others[0]}; name a folder that is not there yet, or remove that one")
    with beside(path) as place:
        place.mkdir()
        for name, write in files.items():
            write(place / name)
            (place / name).chmod(0o644)
        exchange(place, path)
    return path


def write_json(path: str | Path, value: Any) -> Path:
    """Save `value` as JSON; floats keep every bit."""
    return write_text(path, json.dumps(value, allow_nan=False))


def jsonable(value: Any) -> Any:
    """Plain JSON: numbers of numpy as Python's, what is not a number as null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(inner) for key, inner in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in cast("Sequence[object]", value)]
    numpys = type(cast("object", value)).__module__ == "numpy" and not hasattr(value, "__len__")
    number = value.item() if numpys else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


def write_text(path: str | Path, text: str) -> Path:
    """Save a text file whole, packed where its name ends in .gz."""
    if Path(path).suffix != PACKED:
        return write_whole(path, writer_of(text))
    packed = gzip.compress(text.encode(), mtime=0)

    def write(place: Path) -> None:
        place.write_bytes(packed)

    return write_whole(path, write)


def writer_of(text: str) -> Callable[[Path], None]:
    """What writes this text where it is told to."""

    def write(place: Path) -> None:
        place.write_text(text, encoding="utf-8", newline="")

    return write


# Reading.

DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    LZMAError,
    SafetensorError,
)
"""What a file that is not what it should be can make its reader, or a library beneath it, raise."""


@contextmanager
def whole(path: str | Path, kind: str) -> Generator[None]:
    """Around everything that reads one file: whatever its contents make go wrong is a ValueError that names it.

    A missing file, or one that may not be read, is an OSError as ever.

    Args: kind: what the file should be, as in "probe": "a.safetensors is not a whole probe: ...".
    """
    try:
        yield
    except (OSError, *DAMAGE) as error:
        if str(path) in str(error) and isinstance(error, OSError | ValueError):
            raise
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, f"{path} cannot be read ({error.strerror})") from error
        missing = f"there is no {error} where one is due" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is not a whole {kind}: {missing or type(error).__name__}") from error


def read_json(path: str | Path, format: str) -> dict[str, Any]:
    """Read a JSON file of ours whose "format" entry must be `format`.

    Raises: ValueError naming the file, what was expected and what was found.
    """
    value = read_any_json(path, f"; a {format!r} file was expected")
    found = cast("dict[str, Any]", value).get("format") if isinstance(value, dict) else type(value).__name__
    if found != format:
        raise ValueError(f'{path} is not a {format!r} file: its "format" is {found!r}')
    return cast("dict[str, Any]", value)


def read_any_json(path: str | Path, expected: str = "") -> Any:
    """Read a JSON file of anyone's. Raises: ValueError naming the file, and what was expected if that is given."""
    return parse_json(read_text(path, "JSON", expected), str(path), expected)


def read_text(path: str | Path, kind: str = "a text", expected: str = "") -> str:
    """The text of a file in UTF-8, its line ends as they are. Raises: ValueError naming the file and what it should be."""
    try:
        return _content(Path(path), kind).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not {kind} ({error}){expected}") from error


def _content(path: Path, kind: str) -> bytes:
    """The bytes of a file, those of a name that ends in .gz unpacked, so far as they can be of use."""
    if path.suffix != PACKED:
        return path.read_bytes()
    with whole(path, kind), gzip.open(path) as file:
        content = file.read(UNPACKED + 1)
    if len(content) > UNPACKED:
        raise ValueError(f"{path} is of more than {UNPACKED >> 20} MiB when it is unpacked; no file of clew's is")
    return content


def parse_json(text: str, origin: str, expected: str = "") -> Any:
    """A JSON value. Raises: ValueError naming the origin: no JSON, a key given twice, NaN or infinity, nested too deep."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(f"{origin} is not JSON that can be read (it is nested too deep){expected}") from error
    except ValueError as error:
        raise ValueError(f"{origin} is not JSON ({error}){expected}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} is given twice")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _finite(word: str) -> float:
    if math.isinf(number := float(word)):
        raise ValueError(f"{word:.40} is beyond the largest number of 64 bits")
    return number


# Values.

WORDS = {
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
"""What each kind of value is called."""
LARGEST = sys.float_info.max
"""What is larger is no finite number of 64 bits, even where Python could hold it as a whole one."""


def typed(
    value: Any,
    place: str,
    kind: type,
    *,
    at_least: int | float | None = None,
    at_most: int | float | None = None,
    among: Collection[Any] | None = None,
) -> Any:
    """The value, if it is of this kind (of WORDS), finite and in range. A whole number becomes a float; a bool is no number.

    Args: place: the file and the path inside it, as errors begin with it.

    >>> typed(3, "a.json: rows[0].n", int, at_least=1)
    3
    """
    kinds, most = ((int, float), LARGEST) if kind is float else ((kind,), 2**63 - 1)
    if type(value) not in kinds or (kind in (int, float) and not abs(value) <= most):
        raise ValueError(f"{place} is {value!r:.80}; {WORDS[kind]} is due there")
    if (at_least is not None and value < at_least) or (at_most is not None and value > at_most):
        limits = [
            f"{word} {limit}" for word, limit in (("at least", at_least), ("at most", at_most)) if limit is not None
        ]
        raise ValueError(f"{place} is {value!r}; it is {' and '.join(limits)}")
    if among is not None and value not in among:
        raise ValueError(f"{place} is {value!r}; it is one of {', '.join(map(repr, among))}")
    return float(value) if kind is float else value


def entry(value: Any, name: str, kind: type, *, origin: str, **limits: Any) -> Any:
    """What an object holds under a name, as `typed` says. Raises: ValueError where the name is missing, too."""
    typed(value, origin, dict)
    if name not in value:
        raise ValueError(f"{origin} has no {name!r}; {near(name, list(value))}")
    return typed(value[name], _inside(origin, name), kind, **limits)


def entry_or(value: Any, name: str, kind: type, default: Any, *, origin: str, **limits: Any) -> Any:
    """As `entry`; the default where the name is missing, or null if that is what null says."""
    missing = name not in typed(value, origin, dict) or (default is None and value[name] is None)
    return default if missing else entry(value, name, kind, origin=origin, **limits)


def _inside(origin: str, name: str) -> str:
    """The place of a name in what stands at a place: `a.json: rows[0].n`."""
    return f"{origin}.{name}" if ": " in origin else f"{origin}: {name}"


def entries(value: Any, name: str, kind: type, *, origin: str, **limits: Any) -> list[Any]:
    """A list under a name, each entry as `typed` says: text where a list is due does not become its letters."""
    place = _inside(origin, name)
    listed = enumerate(entry(value, name, list, origin=origin))
    return [typed(one, f"{place}[{i}]", kind, **limits) for i, one in listed]


def texts_by_name(value: Any, name: str, *, origin: str) -> dict[str, str]:
    """An object of texts under a name."""
    held, place = entry(value, name, dict, origin=origin), _inside(origin, name)
    return {key: typed(text, f"{place}[{key!r}]", str) for key, text in held.items()}


def check_names(value: Mapping[str, Any], known: Collection[str], origin: str) -> None:
    """Raises: ValueError for a name that is none of those known."""
    if unknown := [name for name in value if name not in known]:
        raise ValueError(f"{origin} has {unknown[0]!r}, which is none of {', '.join(map(repr, known))}")


def check_whole(value: Any, names: Collection[str], origin: str) -> None:
    """Raises: ValueError unless it is an object of these names, all of them and no other."""
    check_names(typed(value, origin, dict), names, origin)
    if missing := [name for name in names if name not in value]:
        raise ValueError(f"{origin} has no {missing[0]!r}; it has {', '.join(map(repr, value)) or 'nothing'}")


def check_spelling(value: Mapping[str, Any], known: Collection[str], origin: str) -> None:
    """Raises: ValueError for a name that is one of those known but for a letter: a misprint would be passed over in silence.

    For files of others, which may hold more than we know.
    """
    absent = [name for name in known if name not in value]
    for name in value:
        if name not in known and (meant := misspelt(name, absent)):
            raise ValueError(f"{origin} has {name!r} and no {meant!r}; if that is what is meant, mend it there")


# Rows.


def lines(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of every line that is not blank. Only \\n and \\r\\n end one, not U+2028 and its like."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r")


def json_lines(text: str, origin: str) -> Iterator[tuple[str, Any]]:
    """(place, value) of every line of JSON lines. Raises: as `parse_json`, naming the line."""
    for number, line in lines(text):
        place = f"{origin}, line {number}"
        yield place, parse_json(line, place)


def csv_rows(text: str, origin: str, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a table by the names in its first row; a quoted cell may hold line ends.

    Raises: ValueError for a row with more or fewer cells than there are names, or a name given twice.
    """
    try:
        head, *rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row
        ]
    except csv.Error as error:
        raise ValueError(f"{origin} is not a table: {error}") from error
    except ValueError:
        return []
    if len(set(head)) < len(head):
        raise ValueError(f"{origin} names a column twice: {', '.join(head)}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(head):
            raise ValueError(
                f"{origin}, row {number} has {len(row)} cells; its {len(head)} columns are {', '.join(head)}"
            )
    return [dict(zip(head, row, strict=True)) for row in rows]


# The cache.


def cache_folder(*parts: str) -> Path:
    """A folder under $CLEW_CACHE (by default ~/.cache/clew), made if it is not there and can be."""
    root = Path(os.environ.get("CLEW_CACHE") or Path.home() / ".cache" / "clew")
    folder = root.joinpath(*parts)
    with suppress(OSError):  # who writes into it says what is wrong, and who only reads needs none
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def spared() -> Generator[None]:
    """What is kept only to save time: where it cannot be read or written, work goes on without, and the log says so once."""
    try:
        yield
    except OSError as error:
        _say_uncached(str(cache_folder()), error)


_said: set[str] = set()


def _say_uncached(folder: str, error: OSError) -> None:
    if folder not in _said:
        _said.add(folder)
        why = error.strerror or error
        log.warning(
            "nothing is kept in %s (%s), so work is done again each time; CLEW_CACHE names another", folder, why
        )
