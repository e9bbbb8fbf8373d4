"""Ctrl-C waits until a step is whole."""

import os
import signal
from pathlib import Path

import pytest

from clew.training import Plan, train
from clew.training.loop.interrupt import Interrupt
from tests.training.planted_rows import rows

PLAN = Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False})


def test_an_interrupted_run_saves_and_goes_on(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    x = {"resid.1": rows(500)[0]}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def interrupt(step: int, steps: int, told: dict[str, float]) -> None:
        if step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(x, [PLAN], steps=20, batch=100, to=tmp_path / "one", progress=interrupt)
    assert [p.name for p in (tmp_path / "one").glob("checkpoint-*")] == ["checkpoint-7"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (resumed,) = train(x, [PLAN], steps=20, batch=100, to=tmp_path / "one")
    (whole,) = train(x, [PLAN], steps=20, batch=100)
    assert resumed.fingerprint == whole.fingerprint


def test_a_second_interrupt_stops_at_once(request: pytest.FixtureRequest) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    interrupt, done = Interrupt(), []
    with pytest.raises(KeyboardInterrupt):
        for step in interrupt.between(range(9)):
            os.kill(os.getpid(), signal.SIGINT)
            done.append(step)
            os.kill(os.getpid(), signal.SIGINT)
            done.append("not reached")
    assert done == [0] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
