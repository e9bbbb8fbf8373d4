"""How units fire, where words and units are chosen so that every number is known."""

import pytest
import torch

from clew.dictionaries import Partition
from clew.readings.firing import firing
from tests.measures.labelled_model import D, embedding_model, relu

WORDS = {"start": [9.0, 9.0], "vile": [2.0, 0.0], "worse": [4.0, 0.0], "fine": [0.0, 3.0], "day": [-1.0, 0.0]}
MODEL = embedding_model(WORDS)
UNITS = relu([[1.0, 0.0], [0.0, 1.0], [-0.5, -1.0]])


def test_the_numbers_by_hand():
    found = firing(MODEL, ["start vile day", "start worse worse worse", "start fine"], UNITS)
    assert found.mean.tolist() == pytest.approx([(1 + 4 + 0) / 3, 3 / 3, 0.25 / 3])
    assert found.share.tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert found.size.tolist() == [(2 + 4 + 4 + 4) / 4, 3.0, 0.5]
    assert found.texts == 3


def test_only_what_is_skipped_is_left_out():
    assert firing(MODEL, ["start vile"], UNITS).size.tolist() == [2.0, 0.0, 0.0]
    assert firing(MODEL, ["start vile"], UNITS, skip=0).size.tolist() == [5.5, 9.0, 0.0]


def test_one_text_counts_alike_alone_and_among_others():
    texts = ["start vile day", "start worse", "start fine fine fine", "start day"]
    together, alone = firing(MODEL, texts, UNITS), [firing(MODEL, [t], UNITS) for t in texts]
    assert torch.allclose(together.mean, torch.stack([f.mean for f in alone]).mean(0))
    assert torch.equal(together.share, torch.stack([f.share for f in alone]).mean(0))


def test_what_cannot_be_counted_is_refused():
    for texts, units, words in (
        ([], UNITS, "there are no texts"),
        (["start"], UNITS, "'start' has 1 tokens"),
        (["start day"], Partition("embed", (D // 2, D // 2)), "several coordinates"),
    ):
        with pytest.raises(ValueError, match=words):
            firing(MODEL, texts, units)
