"""Editing with canonical examples: one simple sentence for each behaviour, and everything else held where it is.

The answer's probability is raised to a threshold, not further, while a KL term holds predictions on ordinary text and on
prompts that look alike but must not change. How well it went shows on harder sentences than those learnt from, and counts
only if the loss on ordinary text stays within a budget: `clew.edit(..., text=text, budget=1e-3)` holds it.

Source: Hewitt et al. 2024, "Model editing with canonical examples", arXiv:2402.06155: the setting, with low-rank updates.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import cycle

import torch
from jaxtyping import Float
from torch import Tensor

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Example
from clew.data.facts.facts import Facts
from clew.data.text.windows import Windows
from clew.edits._asked import Question, padded
from clew.models import Model
from clew.models.likelihood import tokens_at_once
from clew.models.tokens import rows_of
from clew.readings.answers import weights_of
from clew.readings.tuning import Runner, tune
from clew.sites import Weight
from clew.stack import Stack


def canonical_examples(
    model: Model,
    examples: Facts | Behaviour,
    *,
    text: Windows,
    negatives: Sequence[str] = (),
    weights: Sequence[Weight | str] | None = None,
    rank: int | None = 8,
    steps: int = 200,
    lr: float = 1e-3,
    success: float = 0.5,
    hold: float = 1.0,
    batch: int = 16,
    seed: int = 0,
) -> Stack:
    """Low-rank updates that make the examples succeed and hold ordinary text.

    Args:
        examples: Facts, whose targets are learnt, or the pairs of a Behaviour, whose answers are to follow their clean
            prompts; where a pair has patch answers, it is their sum with the answers that shares count of.
        text: ordinary text; its next-token predictions are held by KL(before ‖ now).
        negatives: prompts that look like the examples and must not change; what follows them is held in the same way.
        weights: which to tune; the MLPs' output projections by default.
        rank: of each update; None for full ones.
        steps: at most.
        success: the probability (the geometric mean over the tokens of a long answer) from which an example counts as learnt
            and pulls no more.
        hold: weight of the KL terms.
        batch: examples, and windows of text, a step.
        seed: of the order of the examples.

    Returns: a Stack of an update of each weight; `about` holds the share of examples that succeed before and after.
    Raises: ValueError for a success outside (0, 1), examples that cannot be posed, or that all succeed already.

    >>> stack = canonical_examples(model, facts.first(2), text=text, weights=["down.1"], lr=0.01)
    >>> stack.about["succeed before"], stack.about["succeed after"]
    (0.0, 1.0)
    """
    if not 0 < success < 1:
        raise ValueError(f"success={success}: give the probability from which an example counts as learnt, such as 0.5")
    posed, rng = examples.examples(model.tokenizer), random.Random(seed)
    alike = [Question(tuple(row), 0, ()) for row in rows_of(model, negatives)]
    windows = cycle(list(text.batches(min(int(text.lengths.max()) * batch, tokens_at_once(model, held=4)))))
    enough, queue = -math.log(success), list[list[Example]]()

    def loss(run: Runner, step: int) -> Tensor | None:
        if not queue:
            with torch.no_grad():
                if all(float(_cost(run, e, model.device)) <= enough for e in posed):
                    return None
            order = rng.sample(posed, len(posed))
            queue.extend(order[i : i + batch] for i in range(0, len(order), batch))
        pull = torch.stack([_cost(run, e, model.device).clamp(min=enough) - enough for e in queue.pop()]).mean()
        some = next(windows)
        kl = _kl(model, run, some.ids.to(model.device), some.real.to(model.device), some.keep.to(model.device))
        if alike:
            tokens, real, _ = padded(model, alike)
            kl = kl + _kl(model, run, tokens, real, None)
        return pull + hold * kl

    updates, history = tune(model, weights_of(model, weights), loss, rank=rank, steps=steps, lr=lr, seed=seed)
    if not history:
        raise ValueError(
            f"all examples of {examples.name} succeed already at {success}; give harder ones or a higher success"
        )
    shares = [_succeed(m, posed, enough) for m in (model, model.edited(updates))]
    about = {
        "steps": len(history),
        "examples": len(posed),
        "success": success,
        "succeed before": shares[0],
        "succeed after": shares[1],
    }
    return Stack(tuple(updates), f"canonical examples: {examples.name}", about)


def _cost(run: Runner, example: Example, device: torch.device) -> Float[Tensor, ""]:
    """-log of the probability of the answers, as a share of theirs and the rivals' where there are any."""
    answer = example.answers[0]
    ids = torch.tensor([[*example.ids, *answer[:-1]]], device=device)
    log_p = run(ids, None, len(answer))[0].float().log_softmax(-1)
    if len(example.answers) == 1 and not example.rivals:
        return -log_p[torch.arange(len(answer)), torch.tensor(answer, device=device)].mean()
    right = log_p[0, [a[0] for a in example.answers]].logsumexp(0)
    if not example.rivals:
        return -right
    return torch.logaddexp(right, log_p[0, [r[0] for r in example.rivals]].logsumexp(0)) - right


def _kl(model: Model, run: Runner, tokens: Tensor, real: Tensor, keep: Tensor | None) -> Float[Tensor, ""]:
    """KL(before ‖ now) of the next token, mean over the positions to keep; the last of each row if None."""
    last = 1 if keep is None else None
    with torch.no_grad():
        before = model.run(tokens, real=real, logits=last).logits
    assert before is not None
    before, now = before.float().log_softmax(-1), run(tokens, real, last).float().log_softmax(-1)
    kl = (before.exp() * (before - now)).sum(-1)
    return kl.mean() if keep is None else kl[keep].mean()


def _succeed(model: Model, posed: Sequence[Example], enough: float) -> float:
    def run(tokens: Tensor, real: Tensor | None = None, logits: int | None = None) -> Tensor:
        found = model.run(tokens, logits=logits).logits
        assert found is not None
        return found

    with torch.no_grad():
        return sum(float(_cost(run, e, model.device)) <= enough for e in posed) / len(posed)
