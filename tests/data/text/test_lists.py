"""Plain lists of texts as evidence; that they keep its contract is in tests/test_evidence.py."""

import pytest

from clew.data.text.lists import Texts, TwoSides
from tests.planted import random_behaviour


def test_lists_become_texts_and_anything_else_stays():
    assert Texts.of(["a", "b"]).lists == (("a", "b"),)
    assert Texts.of([[1, 2], [3]]).lists == (((1, 2), (3,)),)
    assert Texts.of(([[1, 2]], [])).lists == (((1, 2),), ())
    assert Texts.of(task := random_behaviour(n=4)) is task and Texts.of(None) is None


def test_one_text_is_no_side():
    with pytest.raises(ValueError, match="letter by letter"):
        Texts.of((["a"], "b"))
    with pytest.raises(ValueError, match="a list of texts has no two sides"):
        Texts.of(["a", "b"]).two_sides()


def test_two_lists_are_the_wanted_and_the_unwanted():
    texts = Texts.of((["a", "b"], ["c"]))
    wanted, unwanted = texts
    assert texts.two_sides() == TwoSides(wanted, unwanted, "two lists of texts", texts.hash)
    assert texts.two_sides().about == {
        "evidence": "two lists of texts",
        "evidence_hash": texts.hash,
        "wanted": 2,
        "unwanted": 1,
        "paired": False,
    }
