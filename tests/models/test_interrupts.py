"""Ctrl-C at any line of a run: no hook, stub or setting is left, and the next run is right."""

import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
import torch

from clew.changes import Scale, Update
from clew.models import Model
from clew.models.costs import counted
from clew.models.selfcheck import selfcheck
from clew.models.weights import logits_with, matrix_of
from clew.readings.store import record
from clew.sites import Site, Weight
from tests.models.test_run import settings
from tests.models.tiny import model_of, prompts

PASSED = "/jaxtyping/", "/beartype/", "weakref"
"""Files whose lines are not counted: checks of types, which need not be made, and what Python calls where none can raise."""


class Interrupts:
    """Raises KeyboardInterrupt at the n-th line that is run inside, in whatever file, or in those named so."""

    def __init__(self, n: int, file: str = "") -> None:
        self.left, self.file = n, file

    def __call__(self, frame: FrameType, event: str, arg: object) -> "Interrupts | None":
        name = frame.f_code.co_filename
        if any(part in name for part in PASSED):
            return None
        if not name.endswith(self.file):
            return self
        if event == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self

    def __enter__(self) -> "Interrupts":
        sys.settrace(self)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)


def interrupted(work: Callable[[], object], n: int, file: str = "") -> bool:
    """Whether the work was cut short at its n-th line; False where it has fewer."""
    try:
        with Interrupts(n, file):
            work()
    except KeyboardInterrupt:
        return True
    return False


def lines_of(work: Callable[[], object]) -> int:
    most = 10**9
    with Interrupts(most) as count:
        work()
    return most - count.left


def works(model: Model) -> dict[str, Callable[[], object]]:
    tokens, edit = prompts(), Scale(Site("attn", 1), factor=0.5)
    base = model.run(tokens, record=True)
    matrix = model.body.linear("down.1").matrix()
    update = Update("down.0", left=torch.ones_like(model.body.linear("down.0").matrix()))

    def count() -> None:
        with counted(model):
            model.run(tokens)

    return {
        "run": lambda: model.run(
            tokens, read=["pattern.1", "neuron.1"], edits=[edit], base=base, record=True, logits=1
        ),
        "frozen": lambda: model.run(tokens, read=["mlp.1"], grad=True, frozen=True),
        "generate": lambda: model.edited(edit).generate("the nurse", max_new_tokens=2),
        "counted": count,
        "widths": lambda: vars(model.body).update(_looked=None) or model.body.widths,
        "weights": lambda: logits_with(model.body, {Weight("down.1"): 2 * matrix}, tokens),
        "updated": lambda: model.edited(update),
    }


@pytest.mark.parametrize("name", ["run", "frozen", "generate", "counted", "widths", "weights", "updated"])
def test_an_interrupt_at_any_line_leaves_nothing_behind(name):
    model = model_of()
    model.body.module.train()
    work = works(model)[name]
    before, plain = settings(model), model.run(prompts()).logits
    total = lines_of(work)
    places = sorted({1 + total * i // 17 for i in range(16)} | {total - 9, total - 5})
    hits = 0
    for n in places:  # the lines of others are not always as many, so a late one may never come
        hits += interrupted(work, n)
        assert settings(model) == before, n
    assert hits > len(places) // 2 and torch.equal(model.run(prompts()).logits, plain)


@pytest.mark.parametrize("name", ["run", "generate"])
def test_an_interrupt_while_things_come_off_waits_until_all_are_off(name):
    """Every line of clew/models/state.py, where things are put on and taken off."""
    model = model_of()
    work, before, n = works(model)[name], settings(model), 1
    while interrupted(work, n, "models/state.py"):
        assert settings(model) == before, n
        n += 1
    assert n > 50


def test_an_interrupt_while_a_map_is_asked_for_its_matrix_leaves_gradients_as_they_were():
    class Odd(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 3 * super().forward(x) + 1

    odd, n = Odd(3, 2), 1
    while interrupted(lambda: matrix_of(odd), n):
        assert torch.is_grad_enabled(), n
        n += 1
    matrix, bias = matrix_of(odd)
    assert n > 5 and bias is not None and not (matrix.requires_grad or bias.requires_grad)


def timed_works(model: Model, folder: Path) -> dict[str, Callable[[], object]]:
    """What is done when a signal may come: `works`, gradients, a recording, a self-check."""
    text = ["the nurse said that she was not very good"] * 3

    def gradients() -> None:
        trace = model.run(prompts(), read=["resid.0", "pattern.1"], grad=True, logits=1)
        trace.gradients(trace.logits.square().sum())

    def recorded() -> None:
        record(model, text, sites=["resid.1"], to=folder / "store", tokens=20, shard=8)

    return works(model) | {"gradients": gradients, "record": recorded, "selfcheck": lambda: selfcheck(model.body)}


def signalled(model: Model, jobs: list[Callable[[], object]], times: int, seed: int) -> tuple[int, int]:
    """Does the jobs in turn with a signal at an odd time of each: how many were cut short, how many left something."""
    before, odd, hits, left = settings(model), random.Random(seed), 0, 0
    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for i in range(times):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + 0.02 * odd.random() ** 2)
                jobs[i % len(jobs)]()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                hits += 1
            left += settings(model) != before
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    return hits, left


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
def test_signals_at_odd_times_leave_nothing_behind(tmp_path):
    model = model_of()
    plain, jobs = model.run(prompts()).logits, timed_works(model, tmp_path)
    hits, left = signalled(model, list(jobs.values()), 100, 0)
    assert hits > 20 and left == 0 and torch.equal(model.run(prompts()).logits, plain)
    jobs["record"]()
    assert not [path for path in (tmp_path / "store").iterdir() if path.name.startswith(".")]
