"""The recipe of misleading words: what is asked is what is shown and said, and heads are taken out as clew takes them."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

import clew
from clew.changes import Scale
from clew.sites import Site

RECIPE = Path(__file__).parents[2] / "recipes" / "misleading.py"


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return runpy.run_path(str(RECIPE))


@pytest.fixture(scope="module")
def model(recipe: dict[str, Any]) -> clew.Model:
    module = recipe["learnt"](0)
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.add_(0.15 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return clew.open(module)


def test_words_mislead_and_pictures_hold_their_colour(recipe: dict[str, Any]) -> None:
    asked = recipe["questions"](200, seed=0)
    assert (asked.said != asked.colour).all() and asked.ids.shape == (200, recipe["PATCHES"] + 3)
    assert ((asked.ids == recipe["PICTURE"]).sum(1) == recipe["PATCHES"]).all()
    assert torch.equal(asked.ids[:, recipe["WORD"]] - recipe["FIRST"], asked.said)
    assert (recipe["silent"](asked).ids[:, recipe["WORD"]] == recipe["NOTHING"]).all()
    for i, colour in enumerate(recipe["COLOURS"]):
        assert torch.equal((asked.pixels[asked.colour == i].mean((0, 2, 3)) > 0.07).float(), colour)


def test_heads_out_of_the_module_are_heads_at_zero_in_clew(recipe: dict[str, Any], model: clew.Model) -> None:
    asked = recipe["questions"](100, seed=1)
    edit = Scale(Site("head", 1), factor=0.0, units=tuple(range(16, 32)))
    told = (recipe["best"](model.edited(edit), asked) == asked.colour).float().mean()
    assert recipe["without"](model.body.module, ((1, 1),), asked) == pytest.approx(float(told))


def test_words_taken_out_are_words_that_say_nothing_along_their_directions(
    recipe: dict[str, Any], model: clew.Model
) -> None:
    asked, site = recipe["questions"](60, seed=2), Site("embed")
    mended = model.edited(recipe["words_out"](model, 60, at_random=False))
    rows = recipe["rows"](model, asked), recipe["rows"](model, recipe["silent"](asked))
    here, silent = mended.run(rows[0], read=[site])[site], model.run(rows[1], read=[site])[site]
    assert torch.allclose(here, silent, atol=1e-4)
    drawn = model.edited(recipe["words_out"](model, 60, at_random=True)).run(rows[0], read=[site])[site]
    assert not torch.allclose(drawn[:, -2], silent[:, -2], atol=1e-2)
