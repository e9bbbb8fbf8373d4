import numpy as np
import pytest
import torch

import clew
from clew.changes import Scale
from clew.data.labels.labelled import Labelled
from clew.measures.edits.group_accuracy import accuracies
from clew.probing import Pool, Probe
from clew.stack import Stack
from tests.measures.labelled_model import embedding_model

# Groups (target, spurious): 00 twice, 01 four times, 10 once, 11 once.
TRUTH = np.array([[0, 0, 0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1, 0, 1]], bool)


def values(says: list[int]) -> list[float]:
    return [row.value for row in accuracies(np.array(says, bool), TRUTH)]


def test_groups_count_alike_by_hand() -> None:
    right = [1, 0, 1, 0, 0, 0, 1, 1]  # of the groups 1/2, 1/4, 1, 1 are judged right
    says = (np.array(right) == TRUTH[0]).astype(int).tolist()
    assert values(says) == [(1 / 2 + 1 / 4 + 1 + 1) / 4, (1 / 2 + 3 / 4 + 0 + 1) / 4, 1 / 4]


def test_who_says_the_spurious_label_has_a_worst_group_of_0() -> None:
    assert values(TRUTH[1].astype(int).tolist()) == [0.5, 1.0, 0.0]
    assert values(TRUTH[0].astype(int).tolist()) == [1.0, 0.5, 1.0]


def test_an_interval_holds_its_value() -> None:
    for row in accuracies(np.array([0, 1] * 40, bool), np.tile(TRUTH, 10)):  # so that no draw lacks a group
        assert row.low <= row.value <= row.high


def test_copies_of_a_text_are_one() -> None:
    says, truth = np.array([0, 1, 1, 0] * 20, bool), np.tile(TRUTH, 10)
    once = accuracies(says, truth)
    twice = accuracies(np.repeat(says, 3), np.repeat(truth, 3, axis=1), texts=[i // 3 for i in range(240)])
    assert [(r.value, r.low, r.high, r.examples) for r in once] == [(r.value, r.low, r.high, r.examples) for r in twice]


def test_a_group_without_texts_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"the four groups have \[2, 4, 0, 1\] texts"):
        accuracies(np.zeros(7, bool), TRUTH[:, [0, 1, 2, 3, 4, 5, 7]])


MODEL = embedding_model({"on": (), "p": (1.0,), "n": (-1.0,), "he": (0.0, 3.0), "she": (0.0, -3.0)})
WEIGHT = torch.zeros(32).index_fill(0, torch.tensor([0, 1]), 1.0)
HEAD = Probe("embed", WEIGHT, classes=("nurse", "professor"), pool=Pool("mean", skip=1))
FOUR = Labelled("four", ("on p he", "on p she", "on n he", "on n she"), {
    "profession": ("professor", "professor", "nurse", "nurse"), "gender": ("male", "female", "male", "female")})  # fmt: skip
TOGETHER = (("nurse", "female"), ("professor", "male"))


def test_verify_says_what_an_edit_did() -> None:
    stack = Stack((Scale("embed", factor=0.0, basis="code", units=(1,)),))
    view = MODEL.neurons("embed")
    report = clew.verify(view, FOUR, stack, by="group_accuracy", probe=HEAD, together=TOGETHER)
    found = {(row.of, row.measure): row.value for row in report.rows}
    assert found["unedited", "gender accuracy"] == 1.0 and found["unedited", "worst group"] == 0.0
    assert found["edited", "gender accuracy"] == 0.5 and found["edited", "worst group"] == 1.0


def test_four_texts_copied_are_four() -> None:
    copied = FOUR.pick([0, 1, 2, 3] * 5)
    report = clew.verify(MODEL.neurons("embed"), copied, Stack(()), by="group_accuracy", probe=HEAD, together=TOGETHER)
    assert {row.examples for row in report.rows} == {4}


def test_another_order_of_classes_is_refused() -> None:
    from clew.measures.edits.group_accuracy import group_accuracy

    with pytest.raises(ValueError, match="in this order"):
        group_accuracy(MODEL, FOUR, Stack(()), probe=HEAD, together=TOGETHER[::-1])
