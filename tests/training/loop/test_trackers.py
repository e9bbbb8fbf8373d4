"""Trackers: each is told every step's numbers and closed at the last one."""

import sys
from types import SimpleNamespace

import pytest

from clew.training import tracker


@pytest.mark.parametrize(("name", "end"), [("wandb", "finish"), ("trackio", "finish"), ("mlflow", "end_run")])
def test_a_tracker_gets_every_step_and_is_closed(name: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    note = lambda what: lambda *given, **named: told.append((what, given, named))  # noqa: E731
    calls = ("init", "log", "finish", "set_experiment", "start_run", "log_metrics", "end_run")
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(**{call: note(call) for call in calls}))
    tell = tracker(name, "night run")
    tell(1, 2, {"loss": 0.5})
    tell(2, 2, {"loss": 0.25})
    steps = [(given[0], named["step"]) for what, given, named in told if what in ("log", "log_metrics")]
    assert steps == [({"loss": 0.5}, 1), ({"loss": 0.25}, 2)]
    assert told[-1][0] == end and any("night run" in named.values() for _, _, named in told)


def test_other_names_and_missing_packages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="wandb"):
        tracker("wandbb", "x")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match="pip install mlflow"):
        tracker("mlflow", "x")
