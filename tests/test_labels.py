"""Labels as values: they come back from JSON, and what is none is refused with its place."""

import json
from inspect import unwrap

import pytest

from clew.labels import Label, Labels
from clew.report import Row

SCORED = Label("plural nouns", scores=(Row("detection", 0.8, 0.7, 0.9, examples=40),), origin="smollm2")
LABELS = Labels({"resid.3/17": (SCORED, Label("cats", "person")), "mlp.2/5": ()})


def test_labels_come_back_from_json() -> None:
    assert Labels.from_json(json.loads(json.dumps(LABELS.to_json()))) == LABELS
    assert LABELS["resid.3/17"][0] is SCORED and len(LABELS) == 2 and list(LABELS) == ["resid.3/17", "mlp.2/5"]


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [("", "prose", "has no text"), ("  ", "rule", "has no text"), ("a", "guess", "'guess' is none")],
)
def test_what_is_no_label(text: str, kind: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        unwrap(Label.__init__)(object.__new__(Label), text, kind)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "labels.json: version is 2"),
        ({"format": "clew report"}, "format is 'clew report'"),
        ({"units": {"resid.3/1": {"text": "a"}}}, r"units\['resid.3/1'\] is .*a list is due"),
        ({"units": {"resid.3/1": [{"text": "a"}]}}, r"units\['resid.3/1'\]\[0\] has no 'kind'"),
        (
            {"units": {"resid.3/1": [{**SCORED.to_json(), "scores": [{"measure": 3}]}]}},
            r"scores: rows\[0\].measure is 3",
        ),
        ({"units": {"resid.3/1": [{**SCORED.to_json(), "text": ""}]}}, "holds no label: a label has no text"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Labels.from_json({**LABELS.to_json(), **change}, "labels.json")
