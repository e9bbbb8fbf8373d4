"""Steering: what edits of growing strength do to a behaviour, example by example, beside random directions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.data.behaviours.metrics import answer_logit, last_logits
from clew.evidence import half
from clew.measures.edits._edits import mean_row, random_twins
from clew.models import EditDidNotFire, Model
from clew.models.likelihood import meeting, unmet
from clew.report import Report, Row
from clew.stack import Stack
from clew.tables import many


def steering_effect(
    model: Model,
    behaviour: Behaviour,
    stack: Stack,
    *,
    strengths: Sequence[float] = (-1.0, -0.5, 0.5, 1.0),
    on: Literal["clean", "patch"] = "clean",
    controls: int = 3,
    held_out: bool = True,
    tokens: int = 1024,
    seed: int = 0,
) -> Report:
    """The metric of a behaviour under a stack of edits, each made `strength` times as strong.

    A stack that was made to bring the clean side out should raise the metric with every step. By strength:

    - metric, and shift: metric - that of the unedited model, in units of the metric.
    - anti-steered: share of examples that move the wrong way (down at a strength above 0, up below). Over all strengths:
      share whose slope is negative. An average hides them.
    - p(answers), p(patch answers): probability mass of each set. entropy: of the next token, nats. KL: of the unedited
      next token from the steered one, nats.

    And over all strengths: "slope", least squares of an example's metric on the strength, with 0 among them; "monotone",
    share of examples whose metric never falls as the strength rises.

    Args:
        behaviour: prompts with answers, for the metric is read off the next token. Lists of texts and Labelled texts, from
            which a vector can also be made, have no answers; locality, fluency and unlearning_depth take such.
        strengths: factors of the stack's own scale; 0 is the unedited model and always among them. A stack that cannot be
            scaled takes (1.0,).
        on: steer the clean prompts, or the patch prompts towards the answers of the clean ones.
        controls: random directions (factors, units) of the same norm at the same places, to average over; 0 for none.
        held_out: judge on the behaviour's test half.
        tokens: how many may run at once.
        seed: of the first random one, and of the intervals.

    Returns: a Report with rows of "strength a" and "random, strength a"; intervals over examples. Costs: (1 + controls)
        forwards for each strength, and one.
    Raises: ValueError for strengths that this stack cannot have, or on="patch" without patch prompts.
    Source: the slope and the anti-steerable share are those of Tan et al. 2024, arXiv:2407.12404; mass, entropy and KL
    those of Højer et al. 2025, "Improving reasoning performance via representation engineering".
    """
    used = half(behaviour, "test", held_out)
    if on not in ("clean", "patch"):
        raise ValueError(f"on={on!r}: steer either the 'clean' or the 'patch' prompts")
    if on == "patch" and used.pairs[0].patch is None:
        raise ValueError(f"{behaviour.name} has no patch prompts to steer; say on='clean'")
    levels = sorted({float(a) for a in strengths} | {0.0})
    if len(levels) < 2:
        raise ValueError(f"strengths={tuple(strengths)}: give one that is not 0")
    twins, note = random_twins(model, stack, controls, seed)
    found = _measured(model, used, [stack, *twins], levels, on, tokens)
    row = partial(mean_row, asked=_asked(model, used, on, tokens), seed=seed)
    rows = [row(what, column, "unedited") for what, column in found[0][0.0].items()]
    rows += _rows(found[:1], "", row)
    rows += _rows(found[1:], "random, ", row) if twins else []
    notes = (f"{many(len(used), f'{on} prompt')}, intervals over them; strengths multiply the stack's own scale", note)
    return Report(f"{behaviour.name} under {stack.name or 'a stack'}: {model.name}", tuple(rows), notes)


Columns = dict[str, Float[np.ndarray, " example"]]


def _measured(
    model: Model, behaviour: Behaviour, stacks: Sequence[Stack], levels: Sequence[float], on: str, tokens: int
) -> list[dict[float, Columns]]:
    """For each stack, what was measured at each strength, by example."""
    parts: dict[tuple[int, float], list[dict[str, Tensor]]] = defaultdict(list)
    idle = model.edited(stacks[0]).activation_edits
    for batch in behaviour.batches(model, tokens=tokens):
        ids = cast(Tensor, batch.clean if on == "clean" else batch.patch)
        idle = unmet(idle, ids)
        plain, logits = _read(model, behaviour, batch, ids, None)
        for i, stack in enumerate(stacks):
            for a in levels:
                if not a:
                    parts[i, a].append(plain)
                    continue
                edited = model.edited(
                    stack if a == 1 else stack.scaled(a)
                )  # made anew, so that no more than one is held
                parts[i, a].append(_read(edited, behaviour, batch, ids, logits)[0])
    if idle:
        raise EditDidNotFire(f"{idle[0]} meets no position of the {len(behaviour)} prompts; check where it is made")
    joined = {at: {what: torch.cat([p[what] for p in some]).numpy() for what in some[0]} for at, some in parts.items()}
    return [{a: joined[i, a] for a in levels} for i in range(len(stacks))]


def _asked(model: Model, behaviour: Behaviour, on: str, tokens: int) -> list[tuple[int, ...]]:
    """The prompts in the order in which they are measured."""
    batches = behaviour.with_metric(answer_logit).batches(model, tokens=tokens)  # which runs nothing
    return [tuple(row) for b in batches for row in cast(Tensor, b.clean if on == "clean" else b.patch).tolist()]


def _read(
    model: Model, behaviour: Behaviour, batch: Batch, ids: Tensor, unedited: Tensor | None
) -> tuple[dict[str, Tensor], Float[Tensor, "batch vocab"]]:
    """What is measured of each example, and the logits; `unedited` are those to take the divergence from."""
    with torch.no_grad():
        trace = meeting(model, ids).run(ids, read=behaviour.needs.reads, logits=behaviour.needs.last)
        logits = last_logits(trace)
        before = (logits if unedited is None else unedited).log_softmax(-1)
        if batch.reference is not None:
            batch = replace(batch, reference=logits if unedited is None else unedited)
        after = logits.log_softmax(-1)
        columns = {"metric": behaviour.measured(trace, batch), "p(answers)": _mass(after, batch.answers)}
        if batch.patch_answers is not None:
            columns["p(patch answers)"] = _mass(after, batch.patch_answers)
        columns["entropy"] = -(after.exp() * after).sum(-1)
        columns["KL"] = (before.exp() * (before - after)).sum(-1).clamp(min=0)
    return {what: column.double().cpu() for what, column in columns.items()}, logits


def _mass(log_p: Float[Tensor, "batch vocab"], ids: Tensor) -> Float[Tensor, " batch"]:
    return log_p.exp().gather(1, ids.clamp_min(0)).masked_fill(ids < 0, 0).sum(1)


def _rows(found: Sequence[Mapping[float, Columns]], of: str, row: Callable[..., Row]) -> Iterator[Row]:
    """Rows of one stack, or of several on average."""
    levels = list(found[0])
    metric = np.array([[at[a]["metric"] for a in levels] for at in found])  # [stack, strength, example]
    before = metric[:, levels.index(0.0)]
    for i, a in enumerate(levels):
        if a:
            shift = metric[:, i] - before
            columns = {what: [at[a][what] for at in found] for what in found[0][a]}
            columns = {"metric": columns.pop("metric"), "shift": shift, "anti-steered": shift * a < 0, **columns}
            for what, column in columns.items():
                yield row(what, np.mean(column, axis=0), f"{of}strength {a:g}")
    from_middle = np.array(levels) - np.mean(levels)
    slope = np.einsum("l,sle->se", from_middle, metric) / (from_middle**2).sum()
    over = f"{of}all strengths"
    yield row("slope", slope.mean(0), over)
    yield row("anti-steered", (slope < 0).mean(0), over)
    yield row("monotone", (np.diff(metric, axis=1) >= 0).all(1).mean(0), over)
