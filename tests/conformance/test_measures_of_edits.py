"""Every measure of edits on an edit that is known: the same twice, the model left alone, and what the edit did."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch

import clew
from clew import finder
from clew.changes import Add, Scale
from clew.models import Model
from clew.stack import Stack
from tests.conformance.knowing import FACTS, MODEL, NUMBER, PAIRS, SECRETS, TEXT
from tests.conformance.shape import case_of, check_row, untouched
from tests.measures.edits.test_group_accuracy import FOUR, HEAD, TOGETHER
from tests.measures.edits.test_group_accuracy import MODEL as EMBEDDED

NAMES = finder.names("measures.edits")


@dataclass(frozen=True)
class Case:
    """An edit, and rows of the report with where their values lie."""

    evidence: Any
    stack: Stack
    rows: list[tuple[str, str, float, float]]
    options: dict[str, Any] = field(default_factory=dict)
    model: Model = field(default=MODEL)


@cache
def moved() -> Stack:
    """Paris is in Italy no more."""
    return clew.edit(MODEL, FACTS.first(1), by="rome", layer=1, text=TEXT)


@cache
def plural() -> Stack:
    return clew.edit(MODEL, NUMBER, by="mean_difference", sites=["resid.3"], positive="many")


def noise() -> Stack:
    return Stack(
        (Add("resid.3", vector=torch.randn(76, generator=torch.Generator().manual_seed(0)).double()),), "noise"
    )


def unlearnt() -> Case:
    """Secrets that are said before and not after."""
    stack = clew.edit(MODEL, SECRETS, by="gradient_ascent", steps=20, lr=0.01)
    rows = [("said", "before", 1, 1), ("said", "after", 0, 0), ("efficacy", "after", 0.9, 1)]
    return Case(SECRETS, stack, rows, {"k": 5, "relearn": 0, "trials": 1, "spaces": 2})


def debiased() -> Case:
    """The loud coordinate, which is the spurious label, at zero."""
    stack = Stack((Scale("embed", factor=0.0, basis="code", units=(1,)),), "without it")
    rows = [("worst group", "unedited", 0, 0), ("worst group", "edited", 1, 1)]
    return Case(FOUR, stack, rows, {"probe": HEAD, "together": TOGETHER}, EMBEDDED.neurons("embed"))


CASES: dict[str, Callable[[], Case]] = {
    "success": lambda: Case(FACTS.first(1), moved(), [("efficacy", "before", 0, 0), ("efficacy", "after", 1, 1)]),
    "locality": lambda: Case(TEXT, moved(), [("KL", "edited", 0.001, 1), ("changed", "edited", 0, 0.1)]),
    "undone": lambda: Case(TEXT, moved(), [("weights", "edited", 1, 1), ("weights", "undone", 0, 0)]),
    "fluency": lambda: Case(
        TEXT, noise(), [("perplexity", "unedited", 1, 9), ("perplexity", "edited", 20, 1e9)],
        {"prompts": 4, "length": 6, "lead": 3},
    ),
    "steering_effect": lambda: Case(PAIRS, plural(), [("shift", "strength 1", 0, 99)], {"on": "patch", "controls": 1}),
    "unlearning_depth": lambda: Case(
        NUMBER, Stack((Scale("resid.2", factor=0.0),), "nothing after the third block"),
        [("resid.1", "after", 1, 1), ("resid.2", "before", 1, 1), ("resid.2", "after", 0.5, 0.5)],
    ),
    "extraction_attacks": unlearnt,
    "group_accuracy": debiased,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_same_twice_the_model_left_alone_and_what_the_edit_did(name):
    measure, case = finder.load("measures.edits", name), case_of(CASES, name)()
    with untouched(case.model.body.module):
        one, two = (measure(case.model, case.evidence, case.stack, **case.options) for _ in range(2))
    assert str(one.rows) == str(two.rows) and one.rows and one.title
    for row in case.rows:
        check_row(one, *row)
