"""The planted problem: a text says y in one coordinate and s, louder, in another; in training they are equal."""

from functools import cache
from itertools import product

import pytest
import torch

from clew.circuits.verdicts import Verdicts
from clew.data.labels.confounded import Confounded
from clew.data.labels.labelled import Labelled
from clew.readings.probe import pooled
from clew.studies.shift.experiment import Experiment, by_file, by_words
from tests.measures.labelled_model import embedding_model

WORDS = {"on": (9.0, 9.0), "teaches": (1.0,), "heals": (-1.0,), "he": (0.0, 3.0), "she": (0.0, -3.0)} | {
    f"w{i}": (0.0, 0.0, *[float(j == i) for j in range(6)]) for i in range(6)
}
MODEL = embedding_model(WORDS)
TOGETHER = {"nurse": "female", "professor": "male"}


@cache
def texts() -> Confounded:
    rows = [(f"on {p} {s} w{i} w{j}", *labels) for (s, p, labels), i, j in product(
        [("teaches", "he", ("professor", "male")), ("teaches", "she", ("professor", "female")),
         ("heals", "he", ("nurse", "male")), ("heals", "she", ("nurse", "female"))], range(6), range(6))]  # fmt: skip
    words, profession, gender = zip(*rows, strict=True)
    return Confounded.of(Labelled("planted", words, {"profession": profession, "gender": gender}), TOGETHER)


@cache
def planted() -> Experiment:
    view = MODEL.neurons("embed").dictionaries.values()
    return Experiment(
        MODEL, tuple(view), texts(), "embed", by_words({"he", "she"}), ("teaches", "heals"), epochs=20, steps=2
    )


@cache
def table() -> dict[tuple[str, str], float]:
    return {(row.of, row.measure): row.value for row in planted().report().rows}


def test_the_original_uses_what_is_louder() -> None:
    assert table()["original", "gender accuracy"] == 1.0
    assert table()["original", "worst group"] == 0.0


def test_shift_drops_the_planted_coordinate_and_no_other() -> None:
    circuit, verdicts = planted().judged["features"]
    assert [node.address for node in verdicts.dropped(circuit)] == ["embed/1"]


@pytest.mark.parametrize("of", ["SHIFT", "SHIFT + retrain", "feature skyline"])
def test_without_it_gender_is_a_coin_and_the_profession_is_told(of: str) -> None:
    assert table()[of, "gender accuracy"] == 0.5
    assert table()[of, "profession accuracy"] == table()[of, "worst group"] == 1.0


def test_the_oracle_needs_no_shift() -> None:
    assert table()["oracle", "worst group"] > 0.85 and table()["oracle", "gender accuracy"] < 0.6


def test_ablation_leaves_exactly_the_other_coordinates() -> None:
    """The probe's score is linear here, so it must fall by weight times coordinate, and not by more."""
    head, some = planted().probe, texts().test.texts
    x = pooled(MODEL, some, head.site, head.pool)
    edited = planted().features.edited(*planted()._dropped("features"))
    assert torch.equal(pooled(edited, some, head.site, head.pool), x.index_fill(1, torch.tensor([1]), 0))


def test_as_many_random_units_change_next_to_nothing() -> None:
    assert table()["random", "gender accuracy"] == 1.0


def test_a_judge_on_file_decides_and_leaves_the_rest_to_the_rule(tmp_path) -> None:
    circuit, verdicts = planted().judged["features"]
    path = Verdicts.of(circuit).keep("embed/1", "I like it", judge="Ada").save(tmp_path / "judged.json")
    judged = by_file(path, by_words({"he", "she"}))(circuit)
    assert judged["embed/1"].judge == "Ada" and judged["embed/0"] == verdicts["embed/0"]


def test_a_judge_that_drops_nothing_leaves_the_model_as_it_is_and_says_so() -> None:
    from dataclasses import replace

    report = replace(planted(), judge=by_words({"nobody"})).report()
    rows = {(row.of, row.measure): row.value for row in report.rows}
    assert rows["SHIFT", "worst group"] == rows["original", "worst group"] == 0.0
    assert any("dropped nothing" in note for note in report.notes)


def test_dictionaries_above_the_probe_are_refused() -> None:
    from dataclasses import replace

    late = tuple(MODEL.neurons("resid.1").dictionaries.values())
    with pytest.raises(ValueError, match="none of 1 dictionaries sits at or below embed"):
        _ = replace(planted(), dictionaries=late).features
