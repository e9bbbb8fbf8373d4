"""Labels as values: they come back from JSON, and what is none is refused with its place."""

import json
from inspect import unwrap
from math import nan
from pathlib import Path

import pytest

from clew.labels import Label, Labels
from clew.report import Row

SCORED = Label("plural nouns", scores=(Row("detection", 0.8, 0.7, 0.9, examples=40),), origin="smollm2")
LABELS = Labels({"resid.3/17": (SCORED, Label("cats", "person")), "mlp.2/5": ()})


def test_labels_come_back_from_json() -> None:
    assert Labels.from_json(json.loads(json.dumps(LABELS.to_json()))) == LABELS
    assert LABELS["resid.3/17"][0] is SCORED and len(LABELS) == 2 and list(LABELS) == ["resid.3/17", "mlp.2/5"]


@pytest.mark.parametrize("name", ["labels.json", "labels.json.gz"])
def test_labels_come_back_from_a_file_packed_or_not(tmp_path: Path, name: str) -> None:
    made = Labels(LABELS.units, {"resid.3": "0a1b"})
    path = made.save(tmp_path / name)
    assert Labels.load(path) == made and Labels.load(path).dictionaries == {"resid.3": "0a1b"}
    assert path.read_bytes() == made.save(tmp_path / f"again.{name}").read_bytes()


def test_a_packed_file_that_is_cut_or_is_none_is_named(tmp_path: Path) -> None:
    path = LABELS.save(tmp_path / "labels.json.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"labels\.json\.gz"):
        Labels.load(path)
    path.write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"labels\.json\.gz"):
        Labels.load(path)


def test_a_bare_text_is_a_persons_and_the_newest_is_the_name() -> None:
    said = Labels.of({"resid.3/17": "cats", "resid.3/1": SCORED})
    assert said["resid.3/17"] == (Label("cats", "person"),) and said["resid.3/1"] == (SCORED,)
    both = LABELS | Labels.of({"resid.3/17": "dogs", "resid.3/2": "it"})
    assert [label.text for label in both["resid.3/17"]] == ["dogs", "plural nouns", "cats"]
    assert [both.name(a) for a in ("resid.3/17", "resid.3/2", "resid.3/9")] == ["dogs", "it", ""]
    assert (LABELS | LABELS) == LABELS


def test_labels_about_some_units_keep_what_these_are_of() -> None:
    made = Labels(LABELS.units, {"resid.3": "0a1b", "mlp.2": "2c"})
    assert made.about(["resid.3/17", "resid.9/1"]) == Labels({"resid.3/17": LABELS["resid.3/17"]}, {"resid.3": "0a1b"})


def test_what_is_better_tested_comes_first_and_a_person_before_all() -> None:
    def rule(text: str, *floors: str, examples: int = 10) -> Label:
        rows = [Row("simulation r", 0.5, 0.4, 0.6, of, examples=examples) for of in ("all", *floors)]
        return Label(text, "rule", tuple(rows))

    one, two, long = (
        rule("a", "above shuffled"),
        rule("a", "above shuffled", "above random_unit"),
        rule("b", examples=90),
    )
    said = Labels({"resid.3/1": (one, long, two, Label("mine", "person"))}).best_first()
    assert said["resid.3/1"] == (Label("mine", "person"), two, long)


def test_what_nobody_said_is_no_key_and_the_rest_is_told_in_a_line() -> None:
    with pytest.raises(
        KeyError, match=r"nothing is said of 'resid.3/9'; of 2 units something is, such as 'resid.3/17'"
    ):
        LABELS["resid.3/9"]
    assert "resid.3/9" not in LABELS and LABELS.get("resid.3/9") is None
    assert repr(LABELS) == "Labels(of 2 units at mlp.2, resid.3)"


def test_a_label_is_held_against_the_highest_of_its_floors() -> None:
    scores = [
        ("r", "all", 0.6),
        ("r", "above shuffled", 0.4),
        ("r", "above random_unit", 0.2),
        ("r", "above permuted", nan),
    ]
    label = Label("rivers", "rule", tuple(Row(measure, value, nan, nan, of) for measure, of, value in scores))
    least = label.above("r")
    assert least is not None and least.of == "above random_unit"
    assert label.above("detection") is None


def test_in_a_notebook_labels_stand_beside_who_said_them_and_how_they_were_tested() -> None:
    scores = (Row("r", 0.6, 0.5, 0.7, "all", None, 9), Row("r", 0.4, 0.3, 0.5, "above shuffled", None, 9))
    many = {f"resid.3/{i}": "plain <b>" for i in range(20)}
    shown = Labels.of({"mlp.2/1": (Label("rivers", "rule", scores, "search"),), **many})._repr_html_()
    assert "plain &lt;b&gt;" in shown and "and 1 more of 21 units" in shown and "resid.3/19" not in shown
    assert all(
        f">{said}</td>" in shown for said in ("mlp.2/1", "rivers", "search", "r, above shuffled: 0.40 [0.30, 0.50]")
    )
    assert "<table" not in Labels()._repr_html_()


def test_a_frame_of_labels_has_a_row_for_each_and_a_column_for_each_score() -> None:
    scores = (Row("r", 0.6, 0.5, 0.7, "all"), Row("r", 0.4, 0.3, 0.5, "above shuffled"))
    made = Labels.of({"mlp.2/1": (Label("rivers", "rule", scores), Label("lakes")), "mlp.2/2": "seas"}).to_frame()
    assert made.columns.tolist() == ["address", "text", "kind", "origin", "r, all", "r, above shuffled"]
    assert made["text"].tolist() == ["rivers", "lakes", "seas"] and made["r, all"].tolist()[0] == 0.6
    assert made["r, all"].isna().tolist() == [False, True, True]


def test_a_token_may_be_blank_and_a_name_may_not() -> None:
    assert Label("\n", "token").text == "\n"
    with pytest.raises(ValueError, match="has no text"):
        Label("", "token")


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


def test_labels_of_two_dictionaries_of_a_site_are_not_put_together() -> None:
    one, same, other = (
        Labels({}, made) for made in ({"resid.3": "a"}, {"resid.3": "a", "mlp.2": "c"}, {"resid.3": "b"})
    )
    assert (one | same).dictionaries == (same | one).dictionaries == {"resid.3": "a", "mlp.2": "c"}
    with pytest.raises(ValueError, match=r"of the dictionary a at resid\.3, and the others of b"):
        one | other
