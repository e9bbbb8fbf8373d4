import numpy as np
import pytest
import torch

from clew.data.labels.labelled import Labelled
from clew.dictionaries import ReLU
from clew.measures.dictionaries import absorption as module
from clew.measures.dictionaries.absorption import absorption, main_units, row_norms
from clew.models import Model
from tests.measures.labelled_model import embedding_model, relu


def absorbed(code, along, toward, cosine, main=(0,)):
    whole, part = module.absorbed(
        torch.tensor([code]), torch.tensor([along]), torch.tensor(toward), torch.tensor(cosine), main
    )
    return bool(whole[0]), round(float(part[0]), 6)


ROWS = ([1.0, 0.9, 0.5, 0.02], [1.0, 0.8, 0.5, 0.02])
"""(toward, cosine) of a main unit, two units of words, and one that points elsewhere."""


@pytest.mark.parametrize(
    ("code", "along", "answer"),
    [
        ([0.0, 2.0, 0.0, 0.0], 2.0, (True, 1.0)),  # the main unit silent, a word's unit in its place
        ([1.0, 0.0, 0.0, 0.0], 1.2, (False, 0.0)),  # the main unit alone
        ([1.0, 1.0, 0.0, 0.0], 2.0, (False, 0.473684)),  # .9 / (.9 + 1)
        ([1.0, 2.0, 0.0, 0.0], 2.0, (False, 0.5)),  # 1.8, at most 2 - 1: 1 / (1 + 1)
        ([1.0, 0.5, 0.5, 0.0], 1.7, (False, 0.411765)),  # .45 + .25 = .7, of which at most .7: .7 / 1.7
        ([1.0, 0.5, 0.0, 0.0], 2.0, (False, 0.0)),  # .45 is less than .4 of 2
        ([2.0, 2.0, 0.0, 0.0], 2.0, (False, 0.0)),  # the main unit reaches all of x . w
        ([0.0, 0.8, 0.0, 0.0], 2.0, (False, 0.0)),  # .72 / 2 is a share of .36
        ([0.0, 0.0, 0.0, 90.0], 2.0, (False, 0.0)),  # 1.8 / 2, but of a unit at cosine .02
        ([0.0, 2.0, 0.0, 0.0], -1.0, (False, 0.0)),  # the word does not point along the letter at all
        ([1e-9, 2.0, 0.0, 0.0], 2.0, (True, 1.0)),  # silent to 1e-8; nearly all is taken
    ],
)
def test_absorption_by_hand(code, along, answer):
    assert absorbed(code, along, *ROWS) == answer


def test_at_most_three_units_share_in_absorbing():
    code, toward = [1.0, 0.3, 0.3, 0.3, 0.3], [1.0] * 5
    assert absorbed(code, 3.0, toward, toward)[1] == 0.0  # three of .3 are less than .4 of 3
    assert absorbed(code, 2.0, toward, toward)[1] == round(0.9 / 1.9, 6)


def test_a_unit_at_cosine_between_the_thresholds_absorbs_wholly_but_not_in_part():
    assert absorbed([0.0, 2.0], 2.0, [1.0, 1.0], [1.0, 0.05]) == (True, 0.0)


def test_a_further_main_unit_must_raise_f1():
    positive = np.array([True] * 20 + [False] * 20)
    code = torch.zeros(40, 3)
    code[:10, 0], code[10:20, 1], code[:20, 2] = 2.0, 1.5, 0.01
    assert main_units(code, positive) == [0, 1]
    code[:20, 0] = 2.0
    assert main_units(code, positive) == [0]


def test_row_norms_are_the_lengths_of_decoder_rows():
    assert row_norms(relu([(3.0, 4.0), (0.0, 2.0)])).tolist() == [5.0, 2.0]


def planted_absorption() -> tuple[Model, Labelled, ReLU]:
    """Coordinate 0 says "c"; of 64 c words, 16 are written by a unit of their own that shuts the letter's unit."""
    rows = {f"c{i}": [1.0, *(3.0 * (i == 4 * j) for j in range(16))] for i in range(64)}
    own = [[0.0, *(float(j == k) / 3 for k in range(16))] for j in range(16)]
    writes = [[1.0, *(9.0 * x for x in row[1:])] for row in own]
    dictionary = relu([(1.0,), *writes], encoder=[(1.0, *[-1.0] * 16), *own])
    model = embedding_model({"the": (), **rows, **{f"d{i}": () for i in range(30)}})
    letters = ("c",) * 64 + ("d",) * 30
    absorbed = tuple(str(i % 4 == 0 and i < 64) for i in range(94))
    texts = tuple(f"the {word}" for word in [*rows, *(f"d{i}" for i in range(30))])
    return model, Labelled("w", texts, {"letter": letters, "own": absorbed}, position=-1), dictionary


def test_a_planted_absorption_is_found_in_the_share_of_words_it_was_planted_in():
    report = absorption(*planted_absorption(), fraction=0.5)
    assert report["full absorption"].value == 0.25
    assert report["absorption fraction"].value == report["full absorption"].value
    assert report["probe"].value == 1.0 and report["main units F1"].value > 0.8


def test_letters_without_words_are_named():
    words = Labelled("words", tuple(f"the {w}{i}" for w in "cd" for i in range(3)), {"letter": ("c",) * 3 + ("d",) * 3})
    model = embedding_model({"the": ()} | {t.split()[1]: [float("c" in t)] for t in words.texts})
    with pytest.raises(ValueError, match="give more words per letter"):
        absorption(model, words, relu([(1.0,)]))
