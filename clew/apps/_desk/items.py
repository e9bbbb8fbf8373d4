"""What lies in a folder, by what it is: every file of a kind we read is opened once; a malformed one says why."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from clew.apps._bundle import title
from clew.apps._desk.answers import Item, Kind
from clew.apps._desk.folder import LARGEST, MOST, Folder
from clew.apps._desk.kept import Kept, stamp
from clew.apps._facts import name_of
from clew.data.behaviours.files import sibling
from clew.files import DAMAGE, read_any_json
from clew.tables import many

ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".safetensors", ".gguf", ".json.gz", ".txt", ".md")
"""Of files that are looked at."""
OURS: dict[str, Kind] = {
    "clew circuit": "circuit",
    "clew report": "report",
    "clew labels": "labels",
    "clew judgement": "verdicts",
    "clew circuit bench": "comparison",
    "clew atlas": "atlas",
    "clew behaviour": "behaviour",
    "clew replication": "replication",
}
"""Kinds by the word that our files of JSON begin with."""
PAIRED = ("clean", "clean_prefix", "prompt", "sentence_good", "corrupted", "clean_prompt")
"""Columns by which a table is taken for pairs of prompts."""
TEXTS = (".txt", ".md")
NAMED = 4
"""Sites of an index that are told."""


@dataclass(frozen=True)
class Seen:
    """What was seen of a file."""

    kind: Kind
    title: str
    about: str
    model: str | None = None
    behaviour: str | None = None
    through: str | None = None
    sites: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Items:
    """The items of a folder; what was seen of a file is kept until it changes."""

    folder: Folder
    kept: Kept = field(default_factory=lambda: Kept(2 * MOST), repr=False)

    def every(self) -> list[Item]:
        """All that there is, in the order of the paths."""
        found, inside = list[Item](), None
        for path in self.folder.files():  # a folder comes just before what it holds
            if inside is not None and path.is_relative_to(inside):
                continue
            item = self._of(path)
            if item is not None:
                found.append(item)
                inside = path if path.is_dir() else None
        return found

    def of(self, kind: Kind) -> list[Item]:
        """Those of a kind that can be opened."""
        return of_kind(self.every(), kind)

    def one(self, path: Path) -> Item | None:
        """A single file or folder."""
        return self._of(path)

    def _of(self, path: Path) -> Item | None:
        if not path.name.endswith(ENDINGS) and not path.is_dir():
            return None
        if path.is_dir():
            if stamp(path) is None:
                return self._folder_of_weights(path)
            if not all(map(self.folder.holds, path.rglob("*"))):
                return None
        if (half := sibling(str(path))) is not None and not self.folder.holds(Path(half)):
            return None
        return self.kept.of(path, [path], lambda: _looked_at(path, self.folder.name(path)))

    def _folder_of_weights(self, path: Path) -> Item | None:
        """A folder with a transformers model or with dictionaries, told by its names alone."""
        from clew.apps._desk.packed import sites_of

        weights = [*path.glob("*.safetensors")]
        if not weights or not all(map(self.folder.holds, weights)):
            return None
        kind: Kind = (
            "model" if (path / "config.json").is_file() and (path / "tokenizer.json").is_file() else "dictionary"
        )
        others = [one for one in path.iterdir() if one.name.endswith(ENDINGS[:4]) or one.is_dir()]
        if kind == "dictionary" and (others or not all(_is_dictionary(one) for one in weights[:8])):
            return None
        size, latest = sum(one.stat().st_size for one in weights), max(one.stat().st_mtime for one in weights)
        said = "a model in the layout of transformers" if kind == "model" else f"{len(weights)} files of dictionaries"
        sites = self.kept.of(("sites", path), weights, lambda: sites_of(weights)) if kind == "dictionary" else []
        return Item(self.folder.name(path), kind, path.name, said, size, latest, None, sites=sites)


def of_kind(items: Iterable[Item], kind: Kind) -> list[Item]:
    """Those of a kind that can be opened."""
    return [item for item in items if item.kind == kind and item.problem is None]


def _looked_at(path: Path, name: str) -> Item | None:
    """What a file is; None for one that is not ours and does not say that it would be."""
    told = path.stat()
    size = sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) if path.is_dir() else told.st_size
    kind: Kind = _guessed(path)
    try:
        if path.is_file() and told.st_size > LARGEST and path.suffix not in (".safetensors", ".gguf"):
            raise ValueError(f"{path} is of {told.st_size >> 20:,} MiB; up to {LARGEST >> 20} MiB are opened here")
        found = _seen(path)
    except (OSError, *DAMAGE) as error:
        return Item(name, kind, path.name, "", size, told.st_mtime, readable(error, path, name))
    if found is None:
        return None
    more = (found.model, found.behaviour, found.through, found.sites)
    return Item(name, found.kind, found.title, found.about, size, told.st_mtime, None, *more)


def readable(error: BaseException, path: Path, name: str) -> str:
    """An error as a sentence that names the file as it is called in the folder."""
    said = str(error) or f"{name} cannot be read ({type(error).__name__})"
    return said.replace(str(path), name).replace(str(path.parent), name.rpartition("/")[0] or "the folder")


def _guessed(path: Path) -> Kind:
    """What a file that cannot be read would be, by its first bytes or its name."""
    if path.is_dir():
        return "index"
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode(errors="replace")
    except OSError:
        head = ""
    names: tuple[Kind, ...] = ("circuit", "report", "labels", "verdicts", "behaviour", "replication", "edits")
    said: list[Kind] = [kind for word, kind in OURS.items() if f'"{word}"' in head]
    called: list[Kind] = [kind for kind in names if kind.rstrip("s") in path.name.lower()]
    either: list[Kind] = [*said, *called, "unknown"]
    return either[0]


def _seen(path: Path) -> Seen | None:
    if path.is_dir():
        return _index(path)
    if path.suffix == ".safetensors":
        return _tensors(path)
    if path.suffix in TEXTS:
        return Seen("text", path.name, f"{path.stat().st_size / 1000:,.1f} kB of text")
    if path.suffix == ".gguf":
        return _gguf(path)
    if path.suffix == ".gz":
        _check_unpacked(path)
    if path.suffix in (".jsonl", ".csv", ".tsv"):
        return _pairs(path)
    value = read_any_json(path)
    named = value.get("format") if isinstance(value, dict) else None
    kind = OURS.get(named) if isinstance(named, str) else None
    if kind is not None:
        return READ[kind](path, value)
    return _of_others(path, value)


def _check_unpacked(path: Path) -> None:
    """Raises: ValueError for a packed file that would be larger than what is opened."""
    left = LARGEST
    with gzip.open(path) as file:
        while block := file.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise ValueError(f"{path} is of more than {LARGEST >> 20} MiB when it is unpacked; no label file is")


def _circuit(path: Path, value: Any) -> Seen:
    from clew.circuits.circuit import Circuit

    circuit = Circuit.load(path)
    by = circuit.provenance.get("method")
    found = f", found by {str(by).replace('_', ' ')}" if by else ""
    named = sum(bool(held) for held in circuit.labels.values())
    names = f", {many(named, 'unit')} named" if named else ""
    said = f"{many(len(circuit), 'node')}, {many(len(circuit.weight), 'edge')}{found}{names}"
    return Seen("circuit", title(circuit), said, *_found_in(circuit.provenance), list(map(str, circuit.sites)))


def _found_in(record: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """The model, the behaviour and the pack that a record speaks of."""
    model, behaviour = (name_of(record[key]) or None if record.get(key) else None for key in ("model", "behaviour"))
    made = record.get("dictionaries")
    return model, behaviour, _pack(model, made) if model is not None and isinstance(made, Mapping) else None


def _pack(name: str, made: Mapping[str, str]) -> str | None:
    """The pack of a model, if these fingerprints are those of its dictionaries."""
    from clew.apps._desk.packed import labels_of
    from clew.dictionaries.packs import packs

    if name not in packs() or not made:
        return None
    known = (labels_of(name, site).dictionaries.get(site) for site in made)
    return name if all(one == print for one, print in zip(known, made.values(), strict=True)) else None


def _report(path: Path, value: Any) -> Seen:
    from clew.report import Report

    report = Report.from_json(value, str(path))
    first = next((f"{row.measure} {row.of} {row.said('.2f')}".replace("  ", " ") for row in report.rows), "no rows")
    warned = "; what is noted there is to be read with them" if report.notes else ""
    return Seen("report", report.title, f"{many(len(report.rows), 'number')}; {first}{warned}")


def _labels(path: Path, value: Any) -> Seen:
    from clew.labels import Labels

    labels = Labels.from_json(value, str(path))
    sites = len({unit.partition("/")[0] for unit in labels})
    return Seen("labels", path.name, f"names of {many(len(labels), 'unit')} at {many(sites, 'site')}")


def _verdicts(path: Path, value: Any) -> Seen:
    from clew.circuits.verdicts import Verdicts

    return Seen("verdicts", path.name, str(Verdicts.load(path)))


def _comparison(path: Path, value: Any) -> Seen:
    from clew.studies.comparison.results import Results

    cells = Results.at(path).cells.values()
    searches = sorted({cell.search for cell in cells})
    return Seen("comparison", path.name, f"{many(len(cells), 'cell')}; {', '.join(searches[:5])}")


def _atlas(path: Path, value: Any) -> Seen:
    from clew.apps._browsed import title, words
    from clew.studies.atlas.atlas import Atlas

    atlas = Atlas.load(path)
    return Seen("atlas", title(atlas), words(atlas), atlas.model)


def _behaviour(path: Path, value: Any) -> Seen:
    from clew.data.behaviours.behaviour import Behaviour

    task = Behaviour.load(path)
    return Seen("behaviour", task.name, task.description or f"{many(len(task), 'pair')} of prompts")


def _replication(path: Path, value: Any) -> Seen:
    from clew.studies.replication.rerun import Rerun

    made = Rerun.load(path)
    return Seen("replication", made.title, str(made))


READ: Mapping[Kind, Callable[[Path, Any], Seen]] = {
    "circuit": _circuit,
    "report": _report,
    "labels": _labels,
    "verdicts": _verdicts,
    "comparison": _comparison,
    "atlas": _atlas,
    "behaviour": _behaviour,
    "replication": _replication,
}
"""What opens each kind of our own files."""


def _of_others(path: Path, value: Any) -> Seen | None:
    """A graph of another tool, reports of dictionaries by name, or pairs in a layout that we know."""
    from clew import finder
    from clew.circuits.circuit import FORMATS

    if finder.reading(FORMATS, value):
        return _circuit(path, value)
    if _are_reports(value):
        first = next(iter(cast("dict[str, Any]", value).values()))
        return Seen("report", str(first["title"]), f"{len(value)} reports, by dictionary")
    rows = value.get("pairs", value.get("examples")) if isinstance(value, dict) else value
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and _is_paired(rows[0]):
        return _behaviour(path, value)
    return None


def _are_reports(value: Any) -> bool:
    """What `clew verify --dictionary ... --out` saves."""
    held = list(value.values()) if isinstance(value, dict) else []
    return bool(held) and all(isinstance(one, dict) and one.get("format") == "clew report" for one in held)


def _pairs(path: Path) -> Seen | None:
    """A table of pairs; None for one whose columns are not those of pairs."""
    with path.open(encoding="utf-8", errors="replace") as file:
        first = file.readline(1 << 16)
    if any(column in first for column in PAIRED):
        return _behaviour(path, None)
    return Seen("text", path.name, "rows of text") if path.suffix == ".jsonl" and '"text"' in first else None


def _is_paired(row: Mapping[str, Any]) -> bool:
    return any(column in row for column in PAIRED)


def _is_dictionary(path: Path) -> bool:
    from clew.tensors import read_header

    try:
        head = read_header(path)
    except (OSError, *DAMAGE):
        return False
    return bool({"clew", "clew pack"} & head.keys()) and "reads" in head


def _tensors(path: Path) -> Seen | None:
    """Edits, or a dictionary, of ours; the tensors of others are left out."""
    from clew.stack import Stack
    from clew.tensors import read_header

    head = read_header(path)
    if "reads" in head:
        site = head.get("writes", head["reads"])
        return Seen("dictionary", path.name, f"a {head.get('kind', '')} dictionary at {site}", sites=[site])
    if "clew" not in head:
        return None
    stack = Stack.load(path)
    first = f": {stack[0]}" if len(stack) else ""
    said = f"{many(len(stack), 'edit')}{first}"
    return Seen("edits", stack.name or path.stem, said, *_found_in(stack.provenance))


def _gguf(path: Path) -> Seen:
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path} is not a GGUF file: its first four bytes are not 'GGUF'")
    return Seen("model", path.stem, "a GGUF file")


def _index(path: Path) -> Seen | None:
    from clew.readings.index.index import Index

    value = read_any_json(path / "index.json")
    if not isinstance(value, dict) or value.get("format") != "clew index":
        return None
    index = Index.load(path)
    more = len(index.sites) - NAMED
    sites = ", ".join(map(str, index.sites[:NAMED])) + f" and {more} more" * (more > 0)
    return Seen("index", path.name, f"{index.about['positions']:,} positions of {index.about['model']} at {sites}")
