"""Undone: nothing of an edit is left, neither in the stream nor in the weights."""

import pytest
import torch

from clew import Add, Stack
from clew.data.facts.facts import Facts
from clew.measures.edits.undone import undone
from clew.models import Model
from tests.measures.bigram_model import bigram_model, push, pushable, says, text
from tests.planted import random_behaviour

FACTS = Facts.one("the capital of {} is", "France", "Rome")


def table(report):
    return {(row.measure, row.of): row.value for row in report.rows}


def test_an_update_and_a_push_leave_nothing_behind():
    model = pushable(bigram_model({"is": {"Paris": 3.0}}), "Rome")
    report = undone(model, FACTS, says("Rome", "is", 9.0) + push("Rome", 2.0))
    found = table(report)
    assert found["logits", "edited"] == 1 and found["weights", "edited"] == 1
    assert not any(v for (_, of), v in found.items() if of != "edited")
    assert "undone whole" in report.notes[0]


def test_edits_that_were_there_before_stay():
    model = pushable(bigram_model({}), "Rome").edited(says("Rome", "is", 1.0))
    found = table(undone(model, FACTS, says("Rome", "is", 9.0)))
    assert found["logits", "undone"] == found["weights", "undone"] == 0
    assert ("logits", "unedited") not in found


def test_what_is_not_undone_is_seen(monkeypatch):
    monkeypatch.setattr(Model, "undo", lambda self, n=1: self)
    report = undone(bigram_model({}), FACTS, says("Rome", "is", 9.0))
    assert table(report)["logits", "undone"] == 1 and "NOT UNDONE" in report.notes[0]


def test_an_edit_that_does_nothing_here_proves_nothing():
    nothing = Stack((Add("resid.0", vector=torch.zeros(32, dtype=torch.float64)),))
    model = bigram_model({})
    assert "proves nothing" in str(undone(model, text(model, "Spain is"), nothing))


def test_evidence_without_words_is_refused():
    with pytest.raises(ValueError, match="no prompts in words"):
        undone(bigram_model({}), random_behaviour(), says("Rome", "is", 9.0))
