"""Neuronpedia's batches: JSON lines, compressed, of features, of the contexts in which they fire, and of explanations.

    <source>/release.jsonl model.jsonl sourceset.jsonl source.jsonl
    <source>/features/batch-0.jsonl.gz    activations/batch-0.jsonl.gz    explanations/batch-0.jsonl.gz

A source is a layer and a set, as in `3-resid`. A context holds words, not ids, and what one feature fires with at each; so
what is read knows of no firing outside these contexts. Rows have the columns of their database; those we cannot fill are
empty. Source: hijohnnylin/neuronpedia at ebb8426 (2026-08-20).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite, nan
from pathlib import Path
from typing import Any, get_args

import numpy as np

from clew.files import entries, entry, entry_or, json_lines, parse_json, whole, write_whole
from clew.firings import Fired
from clew.labels import Kind, Label, Labels
from clew.readings.index._found import Found, sorted_firings, text_of
from clew.readings.index.index import Context, Index
from clew.readings.index.summary import EDGES
from clew.readings.unseen import ALL
from clew.report import Report, Row
from clew.sites import PARTS, Site

FEATURES = 128
"""In a batch, as there."""
TOP, BANDS, EACH = 20, 5, 5
"""Contexts of the largest values, and of each of so many bands of the others."""
LARGEST = 1 << 31
"""Bytes of a batch, unpacked."""
LONGEST, INDEX = 1024, 10_000_000
"""Tokens of a context and number of a feature, at most, as its server takes them."""
CREATOR = "clew"
KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}


def matches(path: Path) -> bool:
    """Whether a folder is a source, or holds some."""
    return bool(_sources(path))


def write(index: Index, folder: Path, sites: Sequence[Site]) -> Path:
    """Write a folder for each site below a folder. Returns: the folder."""
    for site in sites:
        source = f"{site.layer or 0}-{site.part}"
        place, now = folder / source, datetime.now(UTC).isoformat(timespec="milliseconds")
        for name, row in _heads(index, site, source, now).items():
            _save(place / f"{name}.jsonl", [row])
        told, units = index.summary(site), index.units(site)
        for number, first in enumerate(range(0, units, FEATURES)):
            some = range(first, min(first + FEATURES, units))
            held = {"features": [_feature(index, site, source, told, unit, now) for unit in some]}
            held["activations"] = [row for unit in some for row in _activations(index, site, source, unit, now)]
            held["explanations"] = [row for unit in some for row in _explanations(index, site, source, unit, now)]
            for name, rows in held.items():
                if rows:
                    _save(place / name / f"batch-{number}.jsonl.gz", rows)
    return folder


def read(path: Path) -> Found:
    """All sources of a folder. Raises: ValueError naming the file and what is wrong with it."""
    windows, models = dict[tuple[str, ...], int](), list[str]()
    fired, units, labels = dict[str, list[tuple[int, int, list[float]]]](), dict[str, int](), dict[str, Any]()
    for folder in _sources(path):
        site, features, rows = None, set[int](), list[tuple[int, int, list[float]]]()
        for where, row in _rows(folder / "features"):
            site = _site(row, where) if site is None else site
            models.append(entry(row, "modelId", str, origin=where))
            features.add(_index(row, where))
        assert site is not None, "a source has a batch of features"
        for where, row in _rows(folder / "activations"):
            unit, tokens, values = _context(row, where, features)
            rows.append((windows.setdefault(tokens, len(windows)), unit, values))
        for where, row in _rows(folder / "explanations"):
            unit, label = _label(row, where, features)
            labels[f"{site}/{unit}"] = (*labels.get(f"{site}/{unit}", ()), label)
        if site in fired:
            raise ValueError(f"{folder} is a second source at {site}; take them into an index each")
        fired[site], units[site] = rows, max(features) + 1
    words = {word: i for i, word in enumerate(sorted({word for window in windows for word in window}))}
    text = text_of(np.array([words[w] for window in windows for w in window], np.int32), [*map(len, windows)])
    firings = {site: _firings(rows, text.windows, units[site]) for site, rows in fired.items()}
    ids = {i: word for word, i in words.items()}
    return Found("neuronpedia", models[0], text, ids, firings, units, Labels(labels), whole=False)


# What is written.


def _heads(index: Index, site: Site, source: str, now: str) -> dict[str, dict[str, Any]]:
    model, made = index.tokenizer_name, {"creatorName": CREATOR, "creatorId": CREATOR, "createdAt": now}
    described = f"{index.units(site)} units at {site}, over {index.about['positions']} tokens"
    layers = 1 + max((other.layer or 0) for other in index.sites)
    return {
        "release": {"name": CREATOR, "description": described, "urls": [], **made},
        "model": {"id": model, "displayName": model, "layers": layers, "neuronsPerLayer": 0, "owner": "", **made},
        "sourceset": {
            "modelId": model,
            "name": site.part,
            "description": PARTS[site.part],
            "releaseName": CREATOR,
            **made,
        },
        "source": {"id": source, "modelId": model, "setName": site.part, "dataset": "", "hasDashboards": True, **made},
    }


def _feature(index: Index, site: Site, source: str, told: Any, unit: int, now: str) -> dict[str, Any]:
    near = index.nearest(site, unit) if "decoder" in index.near_by(site) else []
    counts = told.histogram[unit]
    there = np.flatnonzero(counts)
    middles = [(EDGES[bin] + EDGES[bin + 1]) / 2 for bin in there]
    empty = (
        *("vector", "neuron_alignment_indices", "neuron_alignment_values", "neuron_alignment_l1"),
        *("correlated_neurons_indices", "correlated_neurons_pearson", "correlated_neurons_l1"),
        *("correlated_features_indices", "correlated_features_pearson", "correlated_features_l1"),
        *("neg_str", "neg_values", "pos_str", "pos_values"),
        *("logits_hist_data_bar_heights", "logits_hist_data_bar_values", "decoder_weights_dist"),
    )
    return {
        "modelId": index.tokenizer_name,
        "layer": source,
        "index": str(unit),
        "sourceSetName": site.part,
        "creatorId": CREATOR,
        "createdAt": now,
        "maxActApprox": float(told.max[unit]),
        "hasVector": False,
        "topkCosSimIndices": [other for other, _ in near],
        "topkCosSimValues": [alike for _, alike in near],
        "frac_nonzero": float(told.density[unit]),
        "freq_hist_data_bar_heights": [int(n) for n in counts[there]],
        "freq_hist_data_bar_values": [float(value) for value in middles],
        **{name: [] for name in empty},
    }


def _activations(index: Index, site: Site, source: str, unit: int, now: str) -> Iterator[dict[str, Any]]:
    """The contexts of the largest values, and some of each band of values below; a window of each band once."""
    row, sample = index.row(site, unit), index.sample(site, unit)
    size, largest = np.abs(row.value), float(np.abs(row.value).max(initial=0))
    yield from _group(index, site, source, unit, Fired(row.place[:TOP], row.value[:TOP]), row, None, now)
    edges = np.linspace(0, largest, BANDS + 1)
    for low, high in pairwise(edges.tolist()):
        inside = (np.abs(sample.value) > low) & (np.abs(sample.value) <= high)
        some = Fired(sample.place[inside][:EACH], sample.value[inside][:EACH])
        share = float(((size > low) & (size <= high)).mean()) if len(size) else 0.0
        yield from _group(index, site, source, unit, some, row, (low, high, share), now)


def _group(
    index: Index,
    site: Site,
    source: str,
    unit: int,
    some: Fired,
    row: Fired,
    band: tuple[float, float, float] | None,
    now: str,
) -> Iterator[dict[str, Any]]:
    windows = set[int]()
    low, high, share = band or (None, None, None)
    for context in index.contexts(site, unit, some, row):
        if (start := context.place - context.at) not in windows:
            windows.add(start)
            yield {
                **_activation(index, source, unit, context, now),
                "binMin": low,
                "binMax": high,
                "binContains": share,
            }


def _activation(index: Index, source: str, unit: int, context: Context, now: str) -> dict[str, Any]:
    values = np.nan_to_num(context.values)[:LONGEST].tolist()
    name = f"{index.tokenizer_name} {source} {unit} {context.place}"
    return {
        "id": hashlib.sha256(name.encode()).hexdigest()[:24],
        "tokens": list(context.words)[:LONGEST],
        "values": values,
        "maxValue": max(values),
        "maxValueTokenIndex": int(np.argmax(values)),
        "minValue": min(values),
        "modelId": index.tokenizer_name,
        "layer": source,
        "index": str(unit),
        "dataIndex": str(context.document),
        "dataSource": None,
        "dfaValues": [],
        "dfaTargetIndex": None,
        "dfaMaxValue": None,
        "lossValues": [],
        "logitContributions": None,
        "qualifyingTokenIndex": context.at,
        "creatorId": CREATOR,
        "createdAt": now,
    }


def _explanations(index: Index, site: Site, source: str, unit: int, now: str) -> Iterator[dict[str, Any]]:
    for number, label in enumerate(index.labels.of(f"{site}/{unit}")):
        yield {
            "id": hashlib.sha256(f"{source} {unit} {number} {label.text}".encode()).hexdigest()[:24],
            "modelId": index.tokenizer_name,
            "layer": source,
            "index": str(unit),
            "description": label.text,
            "authorId": CREATOR,
            "typeName": label.kind,
            "explanationModelName": label.origin,
            "notes": None,
            "scores": [_scored(row) for row in label.scores if isfinite(row.value)],
            "createdAt": now,
        }


def _scored(row: Row) -> dict[str, Any]:
    """A score, with all that we know of it among its details."""
    (held,) = Report("", (row,)).to_json()["rows"]
    name = row.measure if row.of in ("", ALL) else f"{row.measure} ({row.of})"
    details = json.dumps(held, allow_nan=False)
    return {
        "value": held["value"],
        "explanationScoreTypeName": name,
        "explanationScoreModelName": CREATOR,
        "jsonDetails": details,
    }


def _save(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines; compressed where the name says so, and the same rows to the same bytes."""
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()
    packed = gzip.compress(text, 5, mtime=0) if path.suffix == ".gz" else text
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(place: Path) -> None:
        place.write_bytes(packed)

    write_whole(path, write)


# What is read.


def _sources(path: Path) -> list[Path]:
    folders = (path, *sorted(p for p in path.glob("*") if p.is_dir())) if path.is_dir() else ()
    return [folder for folder in folders if any((folder / "features").glob("batch-*.jsonl.gz"))]


def _rows(folder: Path) -> Iterator[tuple[str, Any]]:
    """(place, row) of the batches of a folder, in the order of their numbers."""
    numbered = [(int(n[1]), p) for p in folder.glob("*") if (n := re.fullmatch(r"batch-(\d+)\.jsonl\.gz", p.name))]
    for _, path in sorted(numbered):
        with whole(path, "batch of Neuronpedia's"), gzip.open(path) as file:
            text = file.read(LARGEST + 1)
            if len(text) > LARGEST:
                raise ValueError(f"{path} is of more than {LARGEST} bytes")
            yield from json_lines(text.decode(), str(path))


def _site(row: Any, where: str) -> str:
    """The site of a source, as in `3-resid`; of other sets, what is in their names."""
    layer, _, name = entry(row, "layer", str, origin=where).partition("-")
    words = {"res": "resid", "att": "attn", "transcoder": "mlp"}
    part = next((p for p in sorted(PARTS, key=len, reverse=True) if name.startswith(p)), None)
    part = part or next((p for word, p in {**words, **{p: p for p in PARTS}}.items() if word in name), None)
    if part is None or not layer.isdigit():
        raise ValueError(
            f"{where}: {row['layer']!r} names no site; a layer and a set are due, as in 3-resid or 3-res-16k"
        )
    return str(Site(part, None if part in ("embed", "final") else int(layer)))


def _index(row: Any, where: str) -> int:
    said = entry(row, "index", str, origin=where)
    if not said.isdigit() or not said.isascii() or int(said) > INDEX:
        raise ValueError(f"{where}: index {said!r:.40} is no number of a feature from 0 to {INDEX}")
    return int(said)


def _context(row: Any, where: str, known: set[int]) -> tuple[int, tuple[str, ...], list[float]]:
    unit = _known(row, where, known)
    tokens, values = entries(row, "tokens", str, origin=where), entries(row, "values", float, origin=where)
    if len(tokens) != len(values) or not 1 <= len(tokens) <= LONGEST:
        raise ValueError(f"{where} has {len(values)} values for {len(tokens)} tokens; each of 1 to {LONGEST} has one")
    return unit, tuple(tokens), [*map(float, values)]


def _label(row: Any, where: str, known: set[int]) -> tuple[int, Label]:
    unit, text = _known(row, where, known), entry(row, "description", str, origin=where)
    made = [entry_or(row, name, str, None, origin=where) or "" for name in ("typeName", "explanationModelName")]
    if not text.strip():
        raise ValueError(f"{where} explains nothing: its description is empty")
    scores = tuple(_score(one, f"{where}: scores") for one in entry_or(row, "scores", list, [], origin=where))
    ours = entry_or(row, "authorId", str, "", origin=where) == CREATOR
    if kind := KINDS.get(made[0]) if ours else None:
        return unit, Label(text, kind, scores, made[1])
    return unit, Label(text, "prose", scores, ", ".join(filter(None, made)))


def _score(held: Any, where: str) -> Row:
    """A score: of our own all that we knew of it, of others the number."""
    name, model = (entry_or(held, f"explanationScore{part}Name", str, "", origin=where) for part in ("Type", "Model"))
    details = entry_or(held, "jsonDetails", str, "", origin=where)
    if model == CREATOR and details:
        rows = {**Report("", ()).to_json(), "rows": [parse_json(details, f"{where}: jsonDetails")]}
        return Report.from_json(rows, f"{where}: jsonDetails").rows[0]
    value = float(entry(held, "value", float, origin=where))
    return Row(", ".join(filter(None, (name, model))) or "score", value, nan, nan, of=ALL)


def _known(row: Any, where: str, known: set[int]) -> int:
    if (unit := _index(row, where)) not in known:
        raise ValueError(f"{where} is of feature {unit}, which is not among the {len(known)} of its source")
    return unit


def _firings(rows: Sequence[tuple[int, int, list[float]]], windows: np.ndarray, units: int) -> Any:
    """Firings of contexts; where a window is there twice for a unit they are the same, and the last is taken."""
    found = {(window, unit): values for window, unit, values in rows}
    place, unit, value = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    for (window, one), values in found.items():
        there = np.flatnonzero(np.array(values, np.float32))
        place.append(there + windows[window])
        unit.append(np.full(len(there), one))
        value.append(np.array(values, np.float32)[there])
    none = [np.zeros(0, np.int64)]
    where, which, what = (np.concatenate(none + column) for column in (place, unit, value))
    return sorted_firings(where, which, what, int(windows[-1]), units)
