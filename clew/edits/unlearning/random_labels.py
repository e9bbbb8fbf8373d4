"""Unlearning by random labels: fine-tune on answers drawn at random in place of the secrets.

A baseline that looks good at the output and leaves the layers below mostly as they were, which `unlearning_depth` and the
relearning attack of `extraction_attacks` show.
Source: Golatkar et al. 2020, "Eternal Sunshine of the Spotless Net", arXiv:1911.04933 (random labels as a baseline).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from clew.data.facts.secrets import Secrets
from clew.models import Model
from clew.readings.answers import Example, learn
from clew.sites import Weight
from clew.stack import Stack


def random_labels(
    model: Model,
    evidence: Secrets,
    *,
    retain: Secrets | None = None,
    weights: Sequence[Weight | str] | None = None,
    rank: int | None = 8,
    steps: int = 200,
    lr: float = 1e-3,
    batch: int = 8,
    seed: int = 0,
) -> Stack:
    """Low-rank updates after which the model says random answers where it said the secrets.

    Every secret gets one random answer as long as it, of tokens that stand in the secrets, nowhere the true one; it is
    learnt together with the true answers of `retain`. Learning ends at the first pass before which all are said.

    Args: retain: secrets that the model shall go on to say; the others as for `memorise`.
    Returns: an update of each weight; `about` holds the steps taken, the last loss, and whether all answers were learnt.
    """
    forget = evidence.ids(model.tokenizer)
    rows = [*drawn(forget, seed), *(retain.ids(model.tokenizer) if retain else [])]
    updates, history, reached = learn(
        model,
        rows,
        weights,
        lambda costs, _: costs.mean(),
        lambda _, said: bool(said.all()),
        rank=rank,
        steps=steps,
        lr=lr,
        batch=batch,
        seed=seed,
    )
    about = {"steps": len(history), "loss": round(history[-1], 6), "all answers learnt": reached}
    return Stack(tuple(updates), f"random labels: {evidence.name}", about)


def drawn(rows: Sequence[Example], seed: int) -> list[Example]:
    """The same prompts with random answers of the same lengths; nowhere the true token.

    Raises: ValueError where all answers are one token over and over, so that no other can be drawn.
    """
    rng, pool = random.Random(seed), sorted({t for _, answer in rows for t in answer})
    if len(pool) < 2:
        raise ValueError("all answers are made of one token, so there is no other to draw; give more secrets")
    return [(asked, [rng.choice([t for t in pool if t != true]) for true in answer]) for asked, answer in rows]
