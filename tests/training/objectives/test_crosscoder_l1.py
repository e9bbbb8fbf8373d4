"""Crosscoders that pay for the lengths they write; loss and folding are held to their formulas in test_crosscoder.py."""

import pytest

from clew.training import Plan, train
from clew.training.objectives.crosscoder_l1 import crosscoder_l1
from tests.training.planted_rows import WIDTHS, two_sites


def test_two_sites_are_learnt_together() -> None:
    one, two, *_ = two_sites(3000)
    plan = Plan("crosscoder_l1", list(WIDTHS), options={"units": 24, "penalty": 0.05})
    (made,) = train({"resid.1": 3 * one + 1, "resid.2": 70 * two}, [plan], steps=200, batch=256)
    last = made.meta["trained"]["last"]
    assert last["unexplained"] < 0.15 and last["l0"] < 12


def test_what_is_paid_grows_with_the_penalty() -> None:
    one, two, *_ = two_sites(3000)
    plans = [Plan("crosscoder_l1", list(WIDTHS), options={"units": 24, "penalty": p}) for p in (0.05, 0.5)]
    made = train({"resid.1": one, "resid.2": two}, plans, steps=100, batch=256)
    cheap, dear = (d.meta["trained"]["last"] for d in made)
    assert cheap["l0"] > 1.3 * dear["l0"] and cheap["unexplained"] < dear["unexplained"]


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(ValueError, match="penalty is -1"):
        crosscoder_l1(units=4, penalty=-1.0)
