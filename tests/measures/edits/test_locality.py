"""Locality: nothing moves where nothing is changed, and by hand where one entry of a table is."""

import math
from dataclasses import replace

import pytest
import torch

from clew import Scale, Stack, Where
from clew.measures.edits.locality import locality
from tests.measures.bigram_model import ID, WORDS, bigram_model, push, pushable, says, text

N = len(WORDS)
TABLE = {"is": {"Rome": 2.0}}


def value(report, measure, of="edited"):
    (row,) = [r for r in report.rows if (r.measure, r.of) == (measure, of)]
    return row.value


def test_an_edit_by_hand():
    model = bigram_model(TABLE)
    windows = text(model, "France is Rome", "Spain was in")
    report = locality(model, windows, says("Oslo", "is", 5.0))
    p = math.exp(2) / (math.exp(2) + N - 1)
    q = math.exp(2) / (math.exp(2) + math.exp(5) + N - 2)
    rest, oslo = 1 / (math.exp(2) + N - 1), 1 / (math.exp(2) + N - 1)
    kl = p * math.log(p / q) + (N - 2) * rest * math.log(p / q) + oslo * (math.log(p / q) - 5)
    assert value(report, "KL") == pytest.approx(kl / 4)  # one of four tokens is predicted after "is"
    loss = -math.log(p) + 3 * math.log(N)
    assert value(report, "loss increase") == pytest.approx((-math.log(q) + 3 * math.log(N)) / loss - 1)
    assert value(report, "perplexity", "unedited") == pytest.approx(math.exp(loss / 4))
    assert value(report, "changed") == 0.25


def test_strength_zero_changes_nothing():
    model = pushable(bigram_model(TABLE), "Rome")
    report = locality(model, text(model, "France is Rome", "Spain"), push("Rome", 5.0).scaled(0.0))
    for of in ("edited", "random"):
        assert [value(report, m, of) for m in ("KL", "loss increase", "changed")] == [0, 0, 0]


def test_the_random_edit_moves_what_the_edit_does_not():
    model = bigram_model(TABLE)
    report = locality(model, text(model, "Spain was in Rome"), says("Oslo", "is", 5.0), controls=2)
    assert value(report, "KL") == 0 < value(report, "KL", "random")
    assert "seeds from 0" in str(report)


def test_an_edit_of_other_texts_is_said_to_mean_no_position():
    model = pushable(bigram_model(TABLE), "Rome")
    report = locality(model, text(model, "Spain was in"), push("Rome", 9.0, Where("token", (ID["France"],))))
    assert value(report, "KL") == 0
    assert "1 of 1 edits mean no position of this text" in str(report)


def test_an_edit_without_a_twin_is_measured_without_a_control():
    model = bigram_model(TABLE)
    report = locality(model, text(model, "France is Rome"), Stack((Scale("final", factor=0.5),)))
    assert {row.of for row in report.rows} == {"unedited", "edited"} and "without a control" in str(report)


def test_batches_do_not_matter(monkeypatch):
    model = bigram_model(TABLE)
    windows = text(model, "France is Rome", "Spain was in the big city", "a b", "Oslo is big")
    whole = locality(model, windows, says("Oslo", "is", 5.0))
    monkeypatch.setattr("clew.scale.budget.VALUES", 1)
    for one, other in zip(locality(model, windows, says("Oslo", "is", 5.0)).rows, whole.rows, strict=True):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_a_text_without_next_tokens_is_refused():
    model = bigram_model(TABLE)
    windows = text(model, "France is")
    nothing = replace(windows, kept=torch.zeros_like(windows.kept))
    with pytest.raises(ValueError, match="nothing to predict"):
        locality(model, nothing, says("Oslo", "is", 5.0))
