"""Interchangeability: twins may trade places, strangers may not."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from clew import Behaviour, Model, verify
from clew.circuits.circuit import Circuit
from clew.measures.circuits.interchangeability import _clusters, interchangeability
from clew.methods.nodes.attribution_patching import attribution_patching
from tests.planted import random_behaviour, tiny_model

TWINS = ["head.1/0", "head.1/1"]


@cache
def twins(heads: int = 8) -> Model:
    """GPT-2 in which heads 0 and 1 of block 1 are the same."""
    model, d = tiny_model("gpt2", n_head=heads), 32 // heads
    attention: Any = model.body.module.get_submodule("transformer.h.1.attn")
    with torch.no_grad():
        for start in (0, 32, 64):
            attention.c_attn.weight[:, start + d : start + 2 * d] = attention.c_attn.weight[:, start : start + d]
        attention.c_proj.weight[d : 2 * d] = attention.c_proj.weight[:d]
    return model.heads()


def setting(n: int = 12, block: int | None = 1) -> tuple[Model, Behaviour, Circuit]:
    model, behaviour = twins(), random_behaviour(n)
    circuit = attribution_patching(model, behaviour, positions=False)
    return model, behaviour, circuit if block is None else circuit[f"head.{block}"]


def test_twins_are_interchangeable_and_strangers_are_not() -> None:
    model, behaviour, heads = setting()
    report = interchangeability(model, behaviour, heads, groups=[TWINS], draws=30, held_out=False)
    assert report["kept"].value == pytest.approx(1, abs=1e-12)
    assert report["null"].value < 0.7
    assert report["p"].value < 0.15  # one pair of 28 is the pair of twins
    strangers = interchangeability(model, behaviour, heads, groups=[["head.1/0", "head.1/2"]], draws=20, held_out=False)
    assert strangers["kept"].value < 0.9
    assert strangers["p"].value > 0.05


def test_the_share_by_hand() -> None:
    """Two heads trade their values; the share is one minus the change over that of having the patch's."""
    model, behaviour, heads = setting()
    report = interchangeability(model, behaviour, heads, groups=[["head.1/0", "head.1/2"]], draws=1, held_out=False)
    (batch,) = behaviour.batches(model)
    z = model.run(batch.clean, read=["head.1"])["head.1"]
    other = model.run(batch.patch, read=["head.1"])["head.1"]
    traded, ablated = z.clone(), z.clone()
    traded[..., 0:4], traded[..., 8:12] = z[..., 8:12], z[..., 0:4]
    ablated[..., 0:4], ablated[..., 8:12] = other[..., 0:4], other[..., 8:12]
    from clew.changes import Set
    from clew.sites import Site

    metric = [
        behaviour.metric(model.run(batch.clean, edits=[Set(Site("head", 1), value=v)]), batch)
        for v in (z, traded, ablated)
    ]
    expected = 1 - (metric[1] - metric[0]).abs().sum() / (metric[2] - metric[0]).abs().sum()
    assert report["kept"].value == pytest.approx(float(expected), abs=1e-12)


def test_twins_find_each_other() -> None:
    """Twins have one effect, so their correlation is 1, and no threshold below it parts them."""
    model, behaviour, heads = setting(24)
    report = interchangeability(model, behaviour, heads, similar=0.999, draws=2)
    assert report["kept"].of.split() == TWINS
    assert report["kept"].value == pytest.approx(1, abs=1e-12)


def test_prompts_that_come_twice_are_good_donors_of_each_other() -> None:
    """With one nearest prompt, the other copy, whatever the group: its effect and all its values are the same."""
    model, behaviour, heads = setting(6, block=None)
    double = replace(behaviour, pairs=behaviour.pairs * 2, split=None)
    some = [["head.0/0", "head.1/2", "head.2/3"]]
    options: dict[str, Any] = {"groups": some, "donors": "examples", "draws": 3, "held_out": False}
    assert interchangeability(model, double, heads, nearest=1, **options)["kept"].value == pytest.approx(1, abs=1e-9)
    assert interchangeability(model, behaviour, heads, nearest=1, **options)["kept"].value < 0.99


def test_each_group_has_a_row_and_the_seed_fixes_all() -> None:
    model, behaviour, heads = setting()
    groups = [TWINS, ["head.1/2", "head.1/3", "head.1/4"]]
    first, second = (
        verify(model, behaviour, heads, by="interchangeability", groups=groups, draws=4, seed=3) for _ in range(2)
    )
    assert [r.of for r in first.rows[:3]] == ["2 groups", " ".join(groups[0]), " ".join(groups[1])]
    assert first.rows[1].value == pytest.approx(1, abs=1e-12)
    assert first.rows == second.rows or str(first) == str(second)
    assert first["kept"].nodes == 5


def test_nodes_at_positions_trade_places_too() -> None:
    model, behaviour, _ = setting()
    circuit = attribution_patching(model, behaviour, positions=True)
    report = interchangeability(
        model, behaviour, circuit, groups=[["head.1/0@3", "head.1/1@3"]], draws=3, held_out=False
    )
    assert report["kept"].value == pytest.approx(1, abs=1e-12)


def test_average_linkage_by_hand() -> None:
    """Effects of a and b move together, c against them; d moves with a and b but stands elsewhere."""
    effect = np.array([[1.0, 2.0, -1.0, 1.0], [2.0, 4.0, -2.0, 2.0], [3.0, 6.1, -3.0, 3.0]])
    groups = _clusters(effect, np.array([0, 0, 0, 1]), 0.5)
    assert [g.tolist() for g in groups] == [[0, 1]]
    assert [g.tolist() for g in _clusters(effect, np.zeros(4, np.int64), 0.5)] == [[0, 1, 3]]


def test_a_circuit_that_is_one_group_has_no_null() -> None:
    model, behaviour, heads = setting()
    report = interchangeability(model, behaviour, heads, groups=[heads], held_out=False)
    assert [r.measure for r in report.rows] == ["kept"]
    assert "no null" in report.notes[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"groups": [["head.1/0", "head.2/1"]]}, "donors='examples'"),
        ({"groups": [["head.1/0"]]}, "at least two"),
        ({"groups": [TWINS, TWINS]}, "one group only"),
        ({"similar": 2.0}, "no group"),
        ({"draws": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_resampled_is_refused(options: dict[str, Any], words: str) -> None:
    model, behaviour, heads = setting(4, block=None)
    with pytest.raises(ValueError, match=words):
        interchangeability(model, behaviour, heads, held_out=False, **options)
    with pytest.raises(ValueError, match="groups are made of its nodes"):
        interchangeability(model, behaviour, heads["head.0"], groups=[heads["head.1"]])
