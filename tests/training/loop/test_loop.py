"""The loop: many dictionaries at once, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from clew.training import Plan, train
from tests.training.planted_rows import rows

PLAN = Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False})


def test_several_dictionaries_side_by_side_are_those_learnt_alone(tmp_path: Path) -> None:
    x = {"resid.1": rows(2000)[0], "mlp.1": rows(2000, seed=1)[0]}
    plans = [PLAN, Plan("topk", "mlp.1", options={"units": 30, "k": 3}), Plan("relu", "mlp.1", options={"units": 30})]
    together = train(x, plans, steps=20, batch=200, to=tmp_path / "run")
    alone = [train(x, [plan], steps=20, batch=200)[0] for plan in plans]
    assert [d.fingerprint for d in together] == [d.fingerprint for d in alone]
    assert [d.fingerprint for d in train(x, plans, steps=20, batch=200, to=tmp_path / "run")] == [
        d.fingerprint for d in alone
    ]
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 60 and lines[-1]["step"] == 20 and {"loss", "l0", "unexplained"} <= set(lines[-1])


def test_a_mistake_leaves_nothing_behind(tmp_path: Path) -> None:
    for options in ({"units": 24, "k": 30}, {"unit": 24, "k": 3}, {"units": 24}):
        with pytest.raises(ValueError, match=r"k is 30|no option 'unit'|needs the option 'k'"):
            train({"resid.1": rows(500)[0]}, [Plan("topk", "resid.1", options=options)], steps=2, to=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("x", "plans", "said"),
    [
        (torch.ones(9, 3), [PLAN], "are equal"),
        (torch.full((9, 3), torch.nan), [PLAN], "not finite"),
        (rows(99)[0], [], "no plan"),
        (rows(99)[0], [PLAN, PLAN], "same file"),
        (rows(99)[0], [Plan("topk", "resid.7", options={"units": 4, "k": 2})], "resid.7 is not among"),
        (rows(99)[0], [Plan("topkk", "resid.1")], "topk"),
        (rows(99)[0], [Plan("topk", "resid.1", "mlp.1", {"units": 4, "k": 2})], "resid.1 -> mlp.1"),
        (rows(99)[0], [Plan("topk", "resid.1", options={"units": 4, "k": 2, "lr": 1e30})], "not finite|lower its lr"),
    ],
)
def test_what_cannot_be_learned_is_refused(x: torch.Tensor, plans: list[Plan], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        train({"resid.1": x, "mlp.1": x}, plans, steps=20, batch=20)
