"""A budget for edits: how much of its loss on ordinary text a model may lose to them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import exp, isfinite, log

from clew.changes import ActivationEdit
from clew.data.text.windows import Windows
from clew.models import Model
from clew.models.likelihood import tokens_at_once
from clew.progress import Tell
from clew.readings.likelihood import idle, next_tokens, predictions
from clew.stack import Stack

ROUNDS = 10
LEAST = 2.0**-ROUNDS
"""The smallest factor that is tried; an edit weaker than a thousandth of itself is none."""
NEAR = 0.9
"""The search ends at a factor that uses at least this share of the budget."""
FAINT = 0.5
"""Below this share of its strength an edit may no longer do what it is for, and a warning says so."""
AIM = 0.95
"""The share that each next factor is meant to use."""

Point = tuple[float, float]
"""A factor, and the rise of the loss there."""


def within_budget(
    model: Model,
    stack: Stack,
    windows: Windows,
    budget: float,
    *,
    progress: Tell | None = None,
) -> Stack:
    """The stack as it is, or scaled down until the loss on a text rises by at most a relative `budget`.

    The rise is (sum of -log q) / (sum of -log p) - 1 over the tokens that count and follow another, p before and q after
    the edit; a fall is within every budget. The stack as it is is tried first; then factors between 0.001 and 1, at most
    ten, until the rise is between 0.9 and 1 times the budget: each is where a power law through the last two would use
    0.95 of it (a small edit costs as its square, a large one as its size), or the middle of the bracket where that leads
    out of it, and every fifth time. Every factor that is returned was run, so the budget holds on this text whether or not
    the rise grows evenly.

    Args:
        budget: 0.001 allows a thousandth.
        progress: told (passes over the text done, passes at most).

    Returns: the stack, with `about["budget"]`: asked, reached, factor, at full strength, loss before (nats per token),
        tokens and the hash of the text, and passes over it: two for a stack that is within, four or five otherwise.
    Raises: ValueError for a budget that is not above 0; for a stack over it that has no strength to scale, or that is
        over it even at the smallest factor tried, with these figures; for an edit that means no position of the text.
    Source: the degradation budget of Hewitt et al. 2024, "Model editing with canonical examples" (1e-5 to 1e-3 there).
    """
    if not budget > 0:
        raise ValueError(f"budget={budget}: give the relative rise of the loss to allow, such as 0.001")
    passes = 0

    def loss(some: Model) -> tuple[float, int]:
        nonlocal passes
        found = _loss(some, windows)
        passes += 1
        if progress:
            progress(passes, 2 + ROUNDS)
        return found

    before, tokens = loss(model)
    unmet = [e for e in stack if isinstance(e, ActivationEdit)]
    for batch in windows.batches():
        unmet = idle(unmet, batch)
    if unmet:
        raise ValueError(
            f"{unmet[0]} means no position of this text, so the text cannot tell what it costs; hold the "
            "budget on text that it acts on"
        )

    def rise(some: Stack) -> float:
        return loss(model.edited(some))[0] / before - 1

    full = reached = rise(stack)
    factor, within = 1.0, stack
    if not full <= budget:
        factor, reached, within = _weaker(stack, rise, full, budget, tokens)
    if factor < FAINT:
        warnings.warn(
            f"the edit keeps to its budget at {factor:.2g} of its strength; verify that it still does what it is "
            "for, or allow more",
            stacklevel=3,
        )
    figures = {
        "asked": budget,
        "reached": reached,
        "factor": factor,
        "at full strength": full,
        "passes": passes,
        "loss before": before / tokens,
        "tokens": tokens,
        "text": windows.policy.get("hash", ""),
    }
    return within.with_about(budget=figures)


def _weaker(
    stack: Stack, rise: Callable[[Stack], float], full: float, budget: float, tokens: int
) -> tuple[float, float, Stack]:
    """(factor, rise, scaled stack) of the largest factor found within the budget."""
    over = f"the edit raises the loss on {tokens} tokens of text by {full:.3g} of it, over the budget of {budget:.3g}"
    try:
        stack.scaled(0.5)
    except ValueError as error:
        raise ValueError(
            f"{over}, and it cannot be made weaker: {error}. Allow more, or choose a milder edit"
        ) from error
    low, high, found = 0.0, 1.0, None
    before, last = (0.0, 0.0), (1.0, full)
    for turn in range(1, ROUNDS + 1):
        guess = None if turn % 5 == 0 else _power_law(before, last, AIM * budget)
        factor = guess if guess and low < guess < high else (low + high) / 2
        factor = max(factor, LEAST)
        scaled = stack.scaled(factor)
        before, last = last, (factor, rise(scaled))
        if last[1] <= budget:
            low, found = factor, (*last, scaled)
            if last[1] >= NEAR * budget:
                break
        elif factor == LEAST:
            break
        else:
            high = factor
    if found is None:
        raise ValueError(
            f"{over}, and at {last[0]:.2g} of its strength still by {last[1]:.3g}; allow more, or choose a milder edit"
        )
    return found


def _power_law(one: Point, other: Point, wanted: float) -> float | None:
    """Where rise = c factor^p through two points takes a value; p = 2 through the origin; None if not between 0 and 1."""
    (a, rise_a), (b, rise_b) = one, other
    if not (isfinite(rise_b) and rise_b > 0):
        return None
    if a == 0:
        return b * (wanted / rise_b) ** 0.5
    if not (isfinite(rise_a) and rise_a > 0 and (rise_a - rise_b) * (a - b) > 0):
        return None
    steepness = log(rise_a / rise_b)
    guess = log(b) + log(wanted / rise_b) * log(a / b) / steepness if steepness else 0.0
    return exp(guess) if guess < 0 else None


def _loss(model: Model, windows: Windows) -> tuple[float, int]:
    """The sum of -log p over the next tokens of a text, and how many there are."""
    total, count = 0.0, 0
    for batch in windows.batches(tokens_at_once(model, held=1)):
        wanted = next_tokens(batch).to(model.device)
        if len(wanted):
            total -= float(predictions(model, batch).gather(1, wanted[:, None]).double().sum())
            count += len(wanted)
    if not count:
        raise ValueError(f"{windows!r} has no token that counts and follows another, so its loss cannot be told")
    return total, count
