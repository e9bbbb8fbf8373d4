import pytest

from clew.scale import budget
from clew.scale.budget import at_once


def test_what_runs_at_once_stays_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "VALUES", 1000)
    assert at_once(10, copies=4) == 25
    assert at_once(10, copies=4, most=7) == 7


def test_one_runs_however_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "VALUES", 1)
    assert at_once(1_000_000) == 1
