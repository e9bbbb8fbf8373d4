"""What does a whole circuit cost in bare passes, and where does the time go?

A bare pass is one forward of the module on the same prompts, without hooks, in the same process. A whole circuit is what a
user does with one behaviour: nodes by two methods with positions told apart and not, the edges among the 60 strongest, and
verification: faithfulness, random circuits beside it, and a curve over sizes with random circuits beside each. The times of
parts hold nothing twice: what a dictionary does inside a forward counts for the dictionary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

import torch
from _log import log, peak_gib

import clew
from clew.dictionaries.dictionary import Learned
from clew.dictionaries.topk import TopK
from clew.methods import _nodes
from clew.methods.edges import edges
from clew.models import model as running

PAIRS, NODES, DRAWS, SIZES, LAYERS = 16, 60, 20, (10, 30, 100, 300, 1000), (3, 7, 11, 15, 19, 23)
PARTS = ("forwards", "backwards", "dictionaries", "contraction", "rest")


Spent = dict[str, float]
"""Seconds by part."""


class Clock:
    """Seconds of CPU by part, what lies inside another part taken off it."""

    def __init__(self) -> None:
        self.spent: Spent = dict.fromkeys(PARTS, 0.0)
        self._open: list[str] = []
        self._since = time.process_time()

    def _turn(self) -> None:
        now = time.process_time()
        self.spent[self._open[-1] if self._open else "rest"] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def on(self, holder: Any, attribute: str, part: str) -> Callable[[], None]:
        """Have every call of a function counted; returns what takes that back."""
        plain = getattr(holder, attribute)

        @wraps(plain)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(part):
                return plain(*args, **kwargs)

        setattr(holder, attribute, timed)
        return lambda: setattr(holder, attribute, plain)


@contextmanager
def clocked() -> Iterator[Clock]:
    """A clock on what the parts are made of."""
    clock = Clock()
    back = [
        clock.on(running, "forward", "forwards"),
        clock.on(torch.autograd, "grad", "backwards"),
        clock.on(TopK, "encode", "dictionaries"),
        *(clock.on(Learned, name, "dictionaries") for name in ("decode", "write", "pull")),
        clock.on(_nodes, "effects", "contraction"),
        clock.on(edges.Wiring, "contract", "contraction"),
    ]
    try:
        yield clock
    finally:
        clock._turn()
        for undo in back:
            undo()


def stages(view: clew.Model, task: clew.Behaviour) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each step of a whole circuit; those that follow take what was found first."""
    found: dict[str, clew.Circuit] = {}

    def find(by: str, positions: bool) -> Callable[[], None]:
        return lambda: found.update({by + " " * positions: clew.find(view, task, by=by, positions=positions)})

    for by in ("integrated_gradients", "attribution_patching"):
        yield f"nodes, {by}", find(by, True)
        yield f"nodes, {by}, positions summed", find(by, False)
    nodes = found["integrated_gradients "]
    top = nodes.top(NODES)
    yield f"edges among {NODES} nodes", lambda: clew.find(view, task, top, by="edges")
    yield "faithfulness", lambda: clew.verify(view, task, top)
    yield f"controls, {DRAWS} draws", lambda: clew.verify(view, task, top, by="controls", draws=DRAWS)
    yield "curve, 5 sizes, 3 random", lambda: clew.verify(view, task, nodes, by="curve", sizes=SIZES)


def main() -> None:
    torch.set_num_threads(1)
    model = clew.open("smollm2-135m")
    lenses = clew.Dictionary.load("smollm2-135m")
    view = model.through(*(lenses[layer] for layer in LAYERS)).sharing()
    task = clew.Behaviour.load("agreement/simple", model=model, n=4 * PAIRS).filter(model).first(2 * PAIRS)
    (batch,) = task.train.batches(model)
    module = model.body.module

    def bare() -> None:
        with torch.no_grad():
            module(input_ids=batch.clean, use_cache=False, logits_to_keep=1)

    def once() -> dict[str, tuple[Spent, float]]:
        """Of every stage the seconds of its parts, and those of a bare pass around it."""
        spent: dict[str, tuple[Spent, float]] = {}
        for name, work in stages(view, task):
            before = _seconds(bare)
            with clocked() as clock:
                work()
            spent[name] = clock.spent, min(before, _seconds(bare))
        return spent

    clew.find(replace(view, shared=None), task, by="attribution_patching")  # to warm up
    spent = once()
    pass_s = min(floor for _, floor in spent.values())
    rows: list[tuple[str, ...]] = [("stage", "bare passes", *PARTS)]
    rows += [(name, *_told(parts, pass_s)) for name, (parts, _) in spent.items()]
    total = {part: sum(parts[part] for parts, _ in spent.values()) for part in PARTS}
    rows.append(("a whole circuit", *_told(total, pass_s)))
    shape = (
        f"{len(batch)} pairs of {batch.clean.shape[1]} tokens to find on and as many to judge on, residual sites "
        f"{', '.join(map(str, LAYERS))} of the pack; a bare pass is {pass_s:.3f} s; peak memory {peak_gib():.2f} GiB"
    )
    log("A whole circuit in bare passes, SmolLM2-135M", rows, shape)


def _told(spent: Spent, floor: float) -> tuple[str, ...]:
    return tuple(f"{seconds / floor:.1f}" for seconds in (sum(spent.values()), *spent.values()))


def _seconds(work: Callable[[], object]) -> float:
    """The smallest of five."""
    times: list[float] = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
