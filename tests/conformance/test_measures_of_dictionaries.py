"""Every measure of dictionaries on a planted case: the same twice, the model left alone, and a good one told from a poor."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from clew import finder
from clew.dictionaries import Identity
from clew.models import Model
from clew.report import Report
from tests.conformance.shape import case_of, check_row, untouched
from tests.measures.dictionaries import planted_dictionaries as exact
from tests.measures.dictionaries.test_absorption import planted_absorption
from tests.measures.dictionaries.test_probing import EYE, pets
from tests.measures.dictionaries.test_probing import MODEL as PETS
from tests.measures.dictionaries.test_recovery import orthogonal
from tests.measures.dictionaries.test_scr import people
from tests.measures.dictionaries.test_tpp import COLOURS
from tests.measures.dictionaries.test_tpp import MODEL as PAINTED
from tests.measures.labelled_model import D, embedding_model, relu
from tests.planted import random_dictionary

NAMES = finder.names("measures.dictionaries")


@dataclass(frozen=True)
class Case:
    """Two dictionaries of a model, and where a row of the report lies of each."""

    model: Model | None
    evidence: Any
    good: Any
    poor: Any
    row: tuple[str, str]
    best: tuple[float, float]
    worse: tuple[float, float]
    options: dict[str, Any] = field(default_factory=dict)


def of_text(row: tuple[str, str], best: tuple[float, float], worse: tuple[float, float], **options: Any) -> Case:
    """An exact copy of what flows at a site, and a random dictionary, on a text."""
    good, poor = exact.signed_copy(32), random_dictionary(exact.SITE, 32)
    return Case(exact.model(), exact.text(), good, poor, row, best, worse, options)


def confounded() -> Case:
    """One unit is the bias; beside it, units of the noise alone."""
    rows, labelled = people()
    noise, options = relu(torch.eye(8)[2:].tolist()), {"ablate": (1,), "fraction": 0.5}
    best, worse = (1, 1), (0, 0)
    return Case(
        embedding_model(rows), labelled, Identity("embed", D), noise, ("scr N=1", "features"), best, worse, options
    )


def absorbed() -> Case:
    """A quarter of the words has taken the letter's place; beside it, a dictionary in which none has."""
    model, words, dictionary = planted_absorption()
    plain = relu([(1.0,), *[(0.0, *(float(i == j) for j in range(16))) for i in range(16)]])
    row, options = ("full absorption", "c"), {"fraction": 0.5}
    return Case(model, words, plain, dictionary, row, (0, 0), (0.25, 0.25), options)


CASES: dict[str, Callable[[], Case]] = {
    "fit": lambda: of_text(("FVU", ""), (0, 1e-9), (1, 9)),
    "geometry": lambda: of_text(("mean max cosine", "plain"), (0, 1e-9), (0.3, 0.5)),
    "overlap": lambda: of_text(("matched cosine", ""), (1 - 1e-9, 1 + 1e-9), (0, 0.6), other=exact.signed_copy(32)),
    "probing": lambda: Case(
        PETS, pets(60), relu(EYE), relu(EYE[2:]), ("kind k=1", "features"), (1, 1), (0, 0.9), {"k": (1,)}
    ),
    "recovery": lambda: Case(
        None, orthogonal(500), relu(EYE8, d=8), relu(EYE8[:4], d=8), ("recovered", "dictionary"), (1, 1), (0.5, 0.5)
    ),
    "tpp": lambda: Case(
        PAINTED,
        COLOURS,
        relu(torch.eye(4).tolist()),
        relu(torch.eye(8)[3:].tolist()),
        ("tpp N=1", "features"),
        (0.3, 0.6),
        (-0.3, 0.2),
        {"ablate": (1,)},
    ),
    "scr": confounded,
    "absorption": absorbed,
}
EYE8 = torch.eye(8).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_twice_the_model_left_alone_and_the_better_one_told(name):
    measure, case = finder.load("measures.dictionaries", name), case_of(CASES, name)()

    def measured(dictionary: Any) -> Report:
        return measure(case.model, case.evidence, dictionary, **case.options)

    modules = [case.good, case.poor] + ([case.model.body.module] if case.model else [])
    with untouched(*modules):
        one, two, other = measured(case.good), measured(case.good), measured(case.poor)
    assert str(one.rows) == str(two.rows) and one.rows and one.title
    check_row(one, *case.row, *case.best)
    check_row(other, *case.row, *case.worse)
