"""What a change does, in one answer, and what the same change does at units that were drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clew.apps._desk.answers import ChangeLine, Failed, Metric, NextTokens, Receipt, Wrote
from clew.apps._desk.asked import ChangeAsked, EditAsked
from clew.apps._desk.behaviours import behaviour_of
from clew.apps._desk.change import PAIRS, change
from clew.apps._desk.desk import Desk
from clew.apps._desk.views import View
from clew.apps.agent._answers import Changed, Grounds, Number
from clew.apps.agent._shown import HALVES
from clew.evidence import digest
from clew.sites import Site
from clew.tables import many

DRAWS = 3
"""Changes at random units, whose mean is the floor."""
NO_UNITS = "no floor: a file of edits has no unit to be drawn otherwise; `verify` measures it beside random directions"
BEFORE = "no floor: it is what the change is held against"
RANDOM = f"the mean of the same change at random units of the same sites, {DRAWS} draws"
NO_METRIC = "no floor: one continuation of one prompt is an example and no measurement; give a behaviour to measure on"


def changed(desk: Desk, view: View, asked: ChangeAsked, command: str) -> Changed:
    """The lines of a change put together, its metric beside its floor. Raises: ValueError for one that cannot be made."""
    lines = _lines(desk, view, asked)
    after = next(line for line in lines if isinstance(line, NextTokens))
    wrote = [(line.side, line.text) for line in lines if isinstance(line, Wrote)]
    metrics = [line for line in lines if isinstance(line, Metric)]
    likely = [Number(f"p of {one.token!r} next, after", one.p, None, None, 1, None, NO_METRIC) for one in after.after]
    floors, floor_is = _floors(desk, view, asked) if metrics else ({}, "")
    return Changed(
        Grounds(*_evidence(desk, view, asked), command),
        numbers=[n for metric in metrics for n in _numbers(metric, floors.get(metric.name), floor_is)] + likely,
        before="".join(text for side, text in wrote if side == "before"),
        after="".join(text for side, text in wrote if side == "after"),
        next_before={one.token: one.p for one in after.before},
        next_after={one.token: one.p for one in after.after},
        receipts=[line.text for line in lines if isinstance(line, Receipt)],
    )


def _lines(desk: Desk, view: View, asked: ChangeAsked) -> list[ChangeLine]:
    lines = list(change(view, desk.folder, asked, desk.limits.tokens))
    if failed := [line for line in lines if isinstance(line, Failed)]:
        raise ValueError(failed[0].error)
    return lines


def _numbers(metric: Metric, floor: float | None, floor_is: str) -> list[Number]:
    before, after = metric.before, metric.after
    return [
        Number(f"{metric.name} before", before.value, before.low, before.high, metric.n, None, BEFORE),
        Number(f"{metric.name} after", after.value, after.low, after.high, metric.n, floor, floor_is),
    ]


def _floors(desk: Desk, view: View, asked: ChangeAsked) -> tuple[dict[str, float], str]:
    """The mean of each metric after the same change at random units, and what that is."""
    drawn = [_elsewhere(view, asked.edits, seed) for seed in range(DRAWS)]
    if any(edits is None for edits in drawn):
        return {}, NO_UNITS
    lines = [_lines(desk, view, replace(asked, edits=edits or [], tokens=0)) for edits in drawn]
    after: dict[str, list[float]] = {}
    for line in (line for some in lines for line in some if isinstance(line, Metric)):
        after.setdefault(line.name, []).extend([] if line.after.value is None else [line.after.value])
    return {name: float(np.mean(values)) for name, values in after.items() if values}, RANDOM


def _elsewhere(view: View, edits: Sequence[EditAsked], seed: int) -> list[EditAsked] | None:
    """The same edits at other units; None where one of them is of no unit."""
    draw, found = np.random.default_rng(seed), list[EditAsked]()
    for one in edits:
        site, _, unit = (one.address or "").partition("@")[0].partition("/")
        if one.kind == "file" or not unit.isdigit():
            return None
        n = int(view.model.dictionaries[Site.parse(site)].n_units)
        if n < 2:
            return None
        other = int(draw.integers(n - 1))
        at = (one.address or "").partition("@")[1:]
        found.append(replace(one, address=f"{site}/{other + (other >= int(unit))}{''.join(at)}"))
    return found


def _evidence(desk: Desk, view: View, asked: ChangeAsked) -> tuple[str, str, str]:
    """The hash of what a change was tried on, what that is, and which half."""
    if asked.behaviour is None:
        return digest(asked.prompt), "the prompt", "none: one prompt is no evidence of more than itself"
    with view.gate.turn():
        task: Any = behaviour_of(desk.folder, asked.behaviour, view.model, n=PAIRS).filter(view.model).test
    return task.hash, f"{many(len(task), 'prompt pair')} of {asked.behaviour}", HALVES["test"]
