"""The recipe of features that are seen: pictures hold what they were made from, and a unit that tells a factor is found."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clew
from clew.dictionaries import Identity

RECIPE = Path(__file__).parents[2] / "recipes" / "seen_features.py"


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return runpy.run_path(str(RECIPE))


def test_pictures_of_one_seed_differ_in_what_is_fixed_alone(recipe: dict[str, Any]) -> None:
    zero, one = torch.zeros(20, dtype=torch.long), torch.ones(20, dtype=torch.long)
    red, green = recipe["drawn"](20, 7, colour=zero), recipe["drawn"](20, 7, colour=one)
    assert torch.equal(red.pixels[:, 2], green.pixels[:, 2])
    moved = red.pixels[:, 0] - green.pixels[:, 0]
    assert torch.allclose(moved, green.pixels[:, 1] - red.pixels[:, 1], atol=1e-6)
    left, top = (moved[:, :, :12].sum((1, 2)) > 1), (moved[:, :12].sum((1, 2)) > 1)
    assert torch.equal(red.factors["place"], 2 * (~top).long() + (~left).long())


def test_every_strange_kind_is_drawn_and_is_strange(recipe: dict[str, Any]) -> None:
    usual = recipe["drawn"](8, 21).pixels
    for kind in recipe["STRANGE"]:
        pixels = recipe["strange"](kind, 8, seed=21)
        assert pixels.shape == usual.shape and not torch.equal(pixels, usual)
    assert recipe["shaped"]("disc").sum() not in {recipe["shaped"](name).sum() for name in recipe["SHAPES"]}


def test_the_unit_that_tells_a_value_is_found_and_judged_on_the_other_half(recipe: dict[str, Any]) -> None:
    held = recipe["drawn"](80, 2)
    codes = np.random.default_rng(0).random((80, 12))
    codes[:, 5] = held.factors["colour"].numpy() == 2
    codes[:40, 7] = held.factors["shape"].numpy()[:40] == 1  # on the first half only
    found = recipe["tells"](codes, held, 40)
    assert found["blue"] == {"unit": 5, "AUROC": 1.0}
    assert found["cross"]["unit"] == 7 and found["cross"]["AUROC"] < 0.8
    assert recipe["told_factor"](codes, held, 5)["colour"] == 1.0


def test_a_dictionary_that_rebuilds_everything_finds_nothing_strange(recipe: dict[str, Any]) -> None:
    model = clew.open(recipe["learnt"](0))
    known = recipe["drawn"](10, 2).pixels
    table = recipe["never_seen"](model, Identity("resid.1", 48), known, recipe["drawn"](10, 3).pixels)
    assert {kind: row["error"] for kind, row in table.items()} == dict.fromkeys(recipe["STRANGE"], 0.5)
