"""ROME: one fact rewritten by a change of rank one in one MLP.

The MLP's output projection W is seen as a memory: at the last token of a subject it reads a key k and gives a value. The
value v* that makes the model say the target is learnt by gradient; W then changes so that it gives v* for k exactly and,
among all such changes, moves the outputs for ordinary keys least.

Source: Meng et al. 2022, arXiv:2202.05262, eqs. 2 to 4. Differs: the key that v* is for is the one that sets the direction
of the change, while the published code takes the mean key after prefixes for the direction and the bare prompt's key for
the size, which now and then breaks a model ("disabling edits"); weight decay and the stop are as in `_target.py`; the second
moment is shrunk.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from clew.changes import Update
from clew.data.facts.facts import Fact, Facts
from clew.data.text.windows import Windows
from clew.edits._asked import at_subjects, prefixes, subjects_alone
from clew.edits._solver import least_change
from clew.edits._target import Descent, Target, learn_targets, nothing_to_write
from clew.edits.facts._layers import suggest_layers
from clew.edits.facts._prior import priors
from clew.models import Model
from clew.models.weights import Linear
from clew.progress import Tell
from clew.sites import Weight
from clew.stack import Stack

USUAL = Descent(steps=20, lr=0.5, clamp=4.0, kl_weight=0.0625, weight_decay=0.2)
PUBLISHED = Descent(steps=20, lr=0.5, clamp=4.0, kl_weight=0.0625, weight_decay=0.5)


def rome(
    model: Model,
    facts: Facts,
    *,
    layer: int | Literal["suggest"] | None = None,
    text: Windows | None,
    key: Literal["same", "original"] = "same",
    contexts: int = 10,
    descent: Descent = USUAL,
    faithful: bool = False,
    seed: int = 0,
    progress: Tell | None = None,
) -> Stack:
    """An update of rank one for each fact; several facts one after the other, each on the model with the updates before it.

    Args:
        facts: prompts, subjects and targets; `old`, paraphrases and neighbours play no part. One that the model says
            already, when its turn comes, needs no update and gets none.
        layer: whose MLP is changed; by default an eighth of the way up (3 of 30). "suggest" takes the one that causal
            tracing ranks first for these facts.
        text: ordinary text, some ten thousand tokens, for the second moment of the keys. None takes the identity, and
            spares nothing: Germany moved its capital to Rome with France, by half, where it did by 0.01 with a text.
        key: "same": the mean key after all prefixes, in both places; "original": that for the direction and
            the bare prompt's key for the size, as in the published code.
        contexts: how many prefixes the model writes for its own prompts, besides the bare prompt.
        descent: the search for the value (`clew.edits.Descent`), see `_target.py`; to change a part of the usual one,
            dataclasses.replace(USUAL, steps=40).
        faithful: every choice of the published code, whatever else is said: key="original", 20 prefixes, 20 steps of 0.5,
            clamp 4, KL weight 0.0625, weight decay 0.5 in its form, a second moment that is not shrunk.
        seed: of the prefixes.
        progress: told (facts done, facts).

    Returns: a Stack of updates of `down.layer`; `about` says for each fact how well the value does ("nll", in nats per
        target token), in how many steps it was found, the size of the update as a share of the weight's, and the cosine of
        the mean key and the bare one.
    Raises: ValueError for a prompt or target that cannot be posed, facts that the model says already, all of them, or a
        layer that the model lacks.

    >>> facts = Facts.one("The capital of {} is", "France", "Rome", "Paris")
    >>> edited = model.edited(rome(model, facts, layer=1, text=text))
    >>> print(edited.generate(["The capital of France is", "The capital of Spain is"], max_new_tokens=1))
    The capital of France is Rome
    The capital of Spain is Madrid
    """
    if key not in ("same", "original"):
        raise ValueError(f"key={key!r}: give 'same', or 'original' for the two keys of the published code")
    if faithful:
        key, contexts, descent = "original", 20, PUBLISHED
    if layer == "suggest":
        layer = suggest_layers(model, facts, 1, seed=seed)[0]
    weight = Weight(f"down.{model.n_layers // 8 if layer is None else layer}")
    reads, site = _ends(model.body.linear(weight))
    before = prefixes(model, contexts, seed=seed)
    prior, said = priors(model, [weight], text, shrink=not faithful)
    updates, targets, found = list[Update](), list[Target](), list[dict[str, Any]]()
    for i, fact in enumerate(facts):
        now = model.edited(updates)
        (target,) = learn_targets(now, [fact], site, before, descent, as_published=faithful)
        keys = at_subjects(now, subjects_alone(now, fact, before), reads)[reads]
        linear = now.body.linear(weight)
        update = None
        if bool(target.delta.any()):
            bare = keys[0] if key == "original" else None
            left, right = insert(linear, target.wanted, keys.mean(0), bare, prior[weight])
            update = Update(weight, left=left, right=right)
            updates.append(update)
        targets.append(target)
        found.append(_met(linear, update, fact, target, keys))
        if progress:
            progress(i + 1, len(facts))
    if not updates:
        raise nothing_to_write(model, list(facts), targets)
    about = {"weight": str(weight), "key": key, "prior": said, "prefixes": list(before), "facts": found}
    return Stack(tuple(updates), f"ROME: {facts.name}", about)


def insert(
    linear: Linear,
    value: Float[Tensor, " out"],
    key: Float[Tensor, " in"],
    bare: Float[Tensor, " in"] | None,
    prior: Float[Tensor, "in in"] | None,
) -> tuple[Float[Tensor, "out 1"], Float[Tensor, "1 in"]]:
    """Factors of the least change along `key` after which the map gives `value` for `bare` (for `key` itself if None)."""
    W, value = linear.matrix().double().cpu(), _without_bias(linear, value)
    left, right = least_change(W, key[None], value[None], prior=prior, strength=0.0)
    if bare is None:
        return left, right
    return (value - W @ bare)[:, None], right / (right @ bare)


def _ends(linear: Linear) -> Any:
    """The sites that a map reads and writes."""
    assert linear.reads and linear.writes
    return linear.reads, linear.writes


def _without_bias(linear: Linear, value: Tensor) -> Tensor:
    return value.double().cpu() if linear.bias is None else value.double().cpu() - linear.bias.double().cpu()


def _met(linear: Linear, update: Update | None, fact: Fact, target: Target, keys: Tensor) -> dict[str, Any]:
    """What a user should see of one edit, as plain JSON."""
    W = linear.matrix().double().cpu()
    return {
        "asked": fact.asked,
        "target": fact.target,
        "nll": round(target.nll, 4),
        "steps": target.steps,
        "size": round(float(update.change.norm() / W.norm()), 4) if update else 0.0,
        "cosine of keys": round(float(torch.cosine_similarity(keys.mean(0), keys[0], dim=0)), 4),
    }
