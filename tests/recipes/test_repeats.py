"""The recipe of repeats: strings hold what they say, and a head is taken out of the module as clew takes it out."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

import clew
from clew.changes import Scale
from clew.sites import Site

RECIPE = Path(__file__).parents[2] / "recipes" / "repeats.py"


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return runpy.run_path(str(RECIPE))


def test_a_hidden_residue_stands_at_the_same_place_of_the_first_copy(recipe: dict[str, Any]) -> None:
    known = recipe["strings"](50, 3, seed=0)
    assert torch.equal(known.ids.gather(1, known.told_by), known.answers)
    assert ((known.masked == recipe["MASK"]).sum(1) == 3).all()
    for row, a, b, hidden in zip(known.ids, known.first, known.second, known.hidden, strict=True):
        assert a >= 0 and a + recipe["SHORTEST"] <= b <= recipe["LENGTH"] - recipe["SHORTEST"]
        assert torch.equal(row[a : a + recipe["SHORTEST"]], row[b : b + recipe["SHORTEST"]])
        assert (hidden > b).all() and len(set(hidden.tolist())) == 3


def test_pairs_differ_in_the_first_copy_alone_and_ask_for_what_stood_there(recipe: dict[str, Any]) -> None:
    task, known = recipe["behaviour"](30, seed=3), recipe["strings"](30, 1, seed=3)
    assert len(task) >= 25
    by_row = {tuple(row.tolist()): i for i, row in enumerate(known.masked)}
    for pair in task.pairs:
        i = by_row[pair.clean]
        told = int(known.told_by[i, 0])
        assert pair.answers == (pair.clean[told],) and pair.patch_answers == (pair.patch[told],) != pair.answers
        assert pair.clean[int(known.second[i]) :] == pair.patch[int(known.second[i]) :]
        assert sorted(pair.clean) == sorted(pair.patch)


def test_a_head_out_of_the_module_is_a_head_at_zero_in_clew(recipe: dict[str, Any]) -> None:
    module, known = recipe["encoder"]().eval(), recipe["strings"](200, 1, seed=2)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    edits = [Scale(Site("head", 1), factor=0.0, units=tuple(range(16, 32)))]
    logits = clew.open(module).run(known.masked, edits=edits, logits=1).logits
    assert logits is not None
    told = float((logits[:, 0].argmax(-1) == known.answers[:, 0]).float().mean())
    assert recipe["accuracy"](module, known, ((1, 1),)) == pytest.approx(told)
    attention = recipe["attention"](clew.open(module), known)
    assert len(attention) == 8 and all(0 < mass < 1 for mass in attention.values())
