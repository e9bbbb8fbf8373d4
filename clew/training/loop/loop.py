"""The loop: many dictionaries on each batch of one stream, Adam, checkpoints, processes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from clew.dictionaries import Dictionary
from clew.progress import Tell
from clew.readings.source import Rows, Source
from clew.scale import processes
from clew.sites import Site
from clew.training.loop.batches import Batch, Batches, Cursor
from clew.training.loop.checkpoint import RunFolder
from clew.training.loop.fast_forward import FastForward
from clew.training.loop.fit import Fit
from clew.training.loop.interrupt import Interrupt
from clew.training.objective import Clock
from clew.training.plan import Plan


def train(
    source: Source | Mapping[Site | str, Tensor],
    plans: Sequence[Plan],
    *,
    to: str | Path | None = None,
    steps: int,
    batch: int = 4096,
    parts: int = 1,
    device: torch.device | str | None = None,
    save_every: float = 300.0,
    fast_forward: int = 0,
    seed: int = 0,
    progress: Tell | None = None,
) -> list[Dictionary]:
    """Learn many dictionaries side by side from one stream of activations.

    Args:
        source: a recorded `Store`, `Live` activations of a model, or {site: tensor [token, d]}.
        plans: what to learn at which site.
        to: a folder for the dictionaries, the log (log.jsonl) and checkpoints. A run that was killed there goes on
            where its last checkpoint stands, with the losses that it would have had; a finished one is only loaded.
        steps: batches to learn from, going through the source as often as that takes.
        batch: rows per step; a round of the source is cut into equal batches of about this size.
        parts: batches are worked through in so many parts whose gradients are summed, to save memory.
        device: where to learn; by default where the source's rows are.
        save_every: seconds between checkpoints.
        fast_forward: with n > 0, every n steps the last step is repeated while the loss on held rows falls
            (Rahamim et al. 2024, arXiv:2409.04206).
        seed: of the order of rows; each plan has its own for its start. progress: told after each step, with the mean
            numbers of the batch over all plans.

    Under torchrun each process takes its rounds of the source and gradients are averaged; the first one writes.
    Returns: the dictionaries in the order of the plans; `meta["trained"]` says how.
    Raises: ValueError for a site that the source does not have, a folder that holds another run or in which one is under
    way, too few rows, or activations or losses that are not finite.
    """
    processes.join()
    source = source if isinstance(source, Source) else Rows({Site.parse(s): x for s, x in source.items()})
    _check(source, plans)
    if fast_forward and processes.count() > 1:
        raise ValueError("fast_forward looks at one process's rows; leave it at 0 when several learn together")
    how = {"steps": steps, "batch": batch, "parts": parts, "order": seed, "fast_forward": fast_forward}
    how |= {"source": dict(source.about), "processes": processes.count()}
    run = RunFolder(to, how, plans)
    if (done := run.finished()) is not None:
        return done
    with run.alone():
        if (done := run.finished()) is not None:  # by who had it until now
            return done
        batches = Batches(source, plans, batch, seed, device or processes.device())
        fits = [Fit(plan, batches.scalings) for plan in plans]
        forward = FastForward(fast_forward, batches.first, batch) if fast_forward else None
        at, begin = run.resume(fits) or _start(fits, batches.first)
        saved, interrupt = time.monotonic(), Interrupt()
        for step, cursor, some in interrupt.between(batches.after(at, begin, steps)):
            now = Clock(step, steps)
            for fit in fits:
                before = forward.before(fit, now) if forward else None
                fit.step(some, now, parts)
                if forward and before:
                    forward.go(fit, before, now)
            run.log(step, fits)
            if progress:
                progress(step, steps, _mean([fit.log for fit in fits]))
            due = interrupt.asked or time.monotonic() - saved > save_every
            if processes.largest(int(due)) and step < steps:
                run.save(step, cursor, fits)
                saved = time.monotonic()
        return run.finish([fit.finished(how) for fit in fits])


def _start(fits: Sequence[Fit], first: Batch) -> tuple[int, Cursor]:
    for fit in fits:
        fit.start(first)
    return 0, (0, 0)


def _mean(logs: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for log in logs for name in log)
    return {name: sum(log.get(name, 0.0) for log in logs) / len(logs) for name in names}


def _check(source: Source, plans: Sequence[Plan]) -> None:
    if not plans:
        raise ValueError("there is no plan; give at least one, as in Plan('topk', 'resid.3', options={...})")
    held = set(source.sites)
    for site in {s for plan in plans for s in (*plan.inputs, *plan.outputs)} - held:
        raise ValueError(f"{site} is not among the activations given; there are {', '.join(map(str, sorted(held)))}")
    for plan in plans:
        plan.made()  # says what is wrong with it before anything is written or read
    titles = [plan.title for plan in plans]
    if len(set(titles)) < len(titles):
        raise ValueError(f"two plans would write the same file: {sorted(titles)}; give one a `name` or another `seed`")
