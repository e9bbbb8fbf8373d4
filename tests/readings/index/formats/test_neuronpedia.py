"""Neuronpedia's batches: those by its columns are read, ours keep its rules and come back."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import validate

from clew.labels import Label
from clew.readings.index.taken import taken
from clew.report import Row
from tests.readings.index.planted import KING, indexed, signed_dictionary, words_dictionary

TEXT = {"type": "string"}
NUMBERS = {"type": "array", "items": {"type": "number"}}
WORDS = {"type": "array", "items": TEXT}
FEATURE = {
    "type": "object",
    "required": ["modelId", "layer", "index", "maxActApprox", "frac_nonzero", "pos_str", "neg_str", "hasVector"],
    "properties": {
        "modelId": TEXT, "layer": {"type": "string", "pattern": r"^\d+-"}, "index": {"type": "string", "pattern": r"^\d+$"},
        "frac_nonzero": {"type": "number", "minimum": 0, "maximum": 1}, "maxActApprox": {"type": "number"},
        "freq_hist_data_bar_heights": NUMBERS, "freq_hist_data_bar_values": NUMBERS, "pos_str": WORDS, "neg_str": WORDS,
        "topkCosSimIndices": {"type": "array", "items": {"type": "integer"}}, "topkCosSimValues": NUMBERS,
    },
}  # fmt: skip
ACTIVATION = {
    "type": "object",
    "required": ["id", "tokens", "values", "maxValue", "maxValueTokenIndex", "minValue", "modelId", "layer", "index"],
    "properties": {
        "id": TEXT, "tokens": {**WORDS, "minItems": 1, "maxItems": 1024}, "values": NUMBERS, "index": TEXT,
        "maxValueTokenIndex": {"type": "integer", "minimum": 0}, "qualifyingTokenIndex": {"type": ["integer", "null"]},
        "binMin": {"type": ["number", "null"]}, "binContains": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    },
}  # fmt: skip
EXPLANATION = {
    "type": "object",
    "required": ["id", "modelId", "layer", "index", "description", "typeName", "scores"],
    "properties": {
        "id": TEXT, "description": TEXT, "index": TEXT, "typeName": TEXT, "explanationModelName": TEXT,
        "scores": {"type": "array", "items": {
            "type": "object", "required": ["value", "explanationScoreTypeName"],
            "properties": {
                "value": {"type": "number"}, "explanationScoreTypeName": TEXT, "explanationScoreModelName": TEXT,
                "jsonDetails": TEXT,
            },
        }},
    },
}  # fmt: skip
"""The columns of its database, and the limits of its server, as the card has them."""


def rows(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for path in sorted(folder.glob("batch-*")) for line in gzip.open(path, "rt", encoding="utf-8")
    ]


def batch(folder: Path, name: str, *lines: dict[str, Any]) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "batch-0.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(x) + "\n" for x in lines).encode())
    )


def theirs(folder: Path, **change: Any) -> Path:
    place = folder / "v1" / "6-res-jb"
    said = {"modelId": "gpt2-small", "layer": "6-res-jb"}
    batch(place, "features", *({**said, "index": str(i), "frac_nonzero": 0.1} for i in (0, 3)))
    one = {**said, "index": "0", "tokens": ["The", " cat", " sat"], "values": [0, 2.5, 1]}
    two = {**said, "index": "3", "tokens": ["The", " cat", " sat"], "values": [0.5, 0, 0]}
    batch(place, "activations", {**one, **change}, two, {**two, "tokens": [" cat", "!"], "values": [3, 0]})
    said |= {"typeName": "oai_token-act-pair", "explanationModelName": "gpt-4o-mini"}
    batch(place, "explanations", {**said, "index": "3", "description": "cats and their like"})
    return folder / "v1"


def test_batches_by_their_columns_are_read(tmp_path: Path) -> None:
    index = taken(theirs(tmp_path), to=tmp_path / "ours")
    assert str(index.sites[0]) == "resid.6" and index.units("resid.6") == 4 and index.tokenizer_name == "gpt2-small"
    (first, second) = index.top("resid.6", 3)
    assert str(first) == "« cat»!" and str(second) == "«The» cat sat" and second.value == 0.5
    assert index.top("resid.6", 0)[0].values.tolist() == [0, 2.5, 1]
    assert index.summary("resid.6").count.tolist() == [2, 0, 0, 2]
    ((address, label),) = index.search("cat")
    assert (address, label.text, label.origin) == (
        "resid.6/3",
        "cats and their like",
        "oai_token-act-pair, gpt-4o-mini",
    )
    with pytest.raises(ValueError, match="keeps the largest firings"):
        index.at("resid.6", 0)


def test_ours_keep_their_rules_and_come_back(tmp_path: Path) -> None:
    index = indexed(tmp_path / "index", words_dictionary(lambda unit: 1 + unit / 8), signed_dictionary())
    index.labels.add(f"embed/{KING}", Label("kings", "person", origin="Ada"))
    folder = index.export(tmp_path / "out", format="neuronpedia")
    for site, source in (("embed", "0-embed"), ("resid.1", "1-resid")):
        features, activations = rows(folder / source / "features"), rows(folder / source / "activations")
        assert [row["index"] for row in features] == [str(unit) for unit in range(index.units(site))]
        for row in features:
            validate(row, FEATURE)
        for row in activations:
            validate(row, ACTIVATION)
            assert len(row["tokens"]) == len(row["values"]) and max(row["values"]) == row["maxValue"]
            assert row["values"][row["maxValueTokenIndex"]] == row["maxValue"]
        heads = {name: json.loads((folder / source / f"{name}.jsonl").read_text()) for name in ("model", "source")}
        assert heads["model"]["id"] == index.tokenizer_name and heads["source"]["id"] == source
    back = taken(folder, to=tmp_path / "back")
    assert set(map(str, back.sites)) == {"embed", "resid.1"}
    ours, again = index.top("embed", KING, 3), back.top("embed", KING, 3)
    assert {str(c) for c in again} <= {str(c) for c in index.top("embed", KING, 100)}
    assert [c.value for c in ours] == pytest.approx([c.value for c in again])
    assert back.labels.of(f"embed/{KING}")[0].text == "kings"


def test_explanations_keep_their_scores(tmp_path: Path) -> None:
    index = indexed(tmp_path / "index", words_dictionary())
    scores = (
        Row("detection AUROC", 0.9, 0.8, 1.0, "all", examples=40),
        Row("detection AUROC", 0.5, 0.4, 0.6, "shuffled"),
        Row("simulation r", float("nan"), float("nan"), float("nan")),
    )
    index.labels.add(f"embed/{KING}", Label("kings", "rule", scores, "rules, clew 0.2.0"))
    folder = index.export(tmp_path / "out", format="neuronpedia")
    (row,) = rows(folder / "0-embed" / "explanations")
    validate(row, EXPLANATION)
    assert [one["explanationScoreTypeName"] for one in row["scores"]] == [
        "detection AUROC",
        "detection AUROC (shuffled)",
    ]
    (label,) = taken(folder, to=tmp_path / "back").labels.of(f"embed/{KING}")
    assert label == Label("kings", "rule", scores[:2], "rules, clew 0.2.0")


def test_scores_of_others_are_read(tmp_path: Path) -> None:
    folder, said = theirs(tmp_path), {"modelId": "gpt2-small", "layer": "6-res-jb", "index": "3", "description": "cats"}
    score = {"value": 0.7, "explanationScoreTypeName": "eleuther_fuzz", "explanationScoreModelName": "gpt-4o-mini"}
    batch(folder / "6-res-jb", "explanations", {**said, "scores": [{**score, "jsonDetails": "[{]"}]})
    (label,) = taken(folder, to=tmp_path / "ours").labels.of("resid.6/3")
    assert [(row.measure, row.value, row.of) for row in label.scores] == [("eleuther_fuzz, gpt-4o-mini", 0.7, "all")]
    for wrong, says in (
        ({"value": "a"}, "value is 'a'"),
        ({"value": 1, "explanationScoreTypeName": 3}, "TypeName is 3"),
    ):
        batch(folder / "6-res-jb", "explanations", {**said, "scores": [wrong]})
        with pytest.raises(ValueError, match=says):
            taken(folder, to=tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"values": [1, 2]}, "activations/batch-0.jsonl.gz, line 1 has 2 values for 3 tokens"),
        ({"tokens": [], "values": []}, "each of 1 to 1024 has one"),
        ({"index": "7"}, "line 1 is of feature 7, which is not among the 2 of its source"),
        ({"index": 3}, "index is 3; text is due there"),
        ({"tokens": "cat"}, "tokens is 'cat'; a list is due"),
    ],
)
def test_a_row_against_the_rules_is_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        taken(theirs(tmp_path, **change), to=tmp_path / "ours")


def test_a_batch_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = theirs(tmp_path) / "6-res-jb" / "features" / "batch-0.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"batch-0.jsonl.gz is not a whole batch of Neuronpedia's"):
        taken(tmp_path / "v1", to=tmp_path / "ours")


def test_bands_hold_what_they_say(tmp_path: Path) -> None:
    index = indexed(tmp_path / "index", signed_dictionary())
    folder = index.export(tmp_path / "out", format="neuronpedia")
    for row in rows(folder / "1-resid" / "activations"):
        if row["binMin"] is not None:
            value = abs(row["values"][row["qualifyingTokenIndex"]])
            assert row["binMin"] < value <= row["binMax"] + 1e-6 and np.isfinite(row["binContains"])
