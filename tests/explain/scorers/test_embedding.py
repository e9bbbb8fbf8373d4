import sys

import numpy as np
import pytest

from clew.data.predicates import Rule
from clew.explain.scorers.embedding import embedding
from clew.readings.asking.prose import Prose
from tests.explain.known import truth, unit, unseen
from tests.explain.reader import knowing, perfect

MONTHS = "months"


def value(explanation, **options):
    (row,) = embedding(explanation, unseen(), unit(MONTHS), **options)
    return row


def test_the_truth_is_near_the_texts_in_which_the_unit_fires():
    row = value(Prose(MONTHS, asks=perfect()), encoder=knowing)
    assert (row.measure, row.of) == ("embedding AUROC", "all") and row.value > 0.9 and row.low > 0.8
    assert value(truth(unit(MONTHS)), encoder=knowing).value == row.value


def test_another_meaning_is_not_and_none_tells_nothing():
    assert value(truth(unit("modal verbs")), encoder=knowing).value < 0.2
    assert value(Rule(()), encoder=knowing).value == 0.5


@pytest.mark.parametrize(
    "wrong", [lambda t: np.ones(len(t)), lambda t: np.ones((3, 2)), lambda t: np.full((len(t), 2), np.nan)]
)
def test_vectors_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="a finite vector for each is due"):
        value(truth(unit(MONTHS)), encoder=wrong)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"clew\[embeddings\]"):
        value(truth(unit(MONTHS)))
