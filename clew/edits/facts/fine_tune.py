"""Fine-tuning on facts: the naive baseline of every editor, gradient descent on the target alone.

Source: the baseline FT of Meng et al. 2022, arXiv:2202.05262, section 3.1: one MLP's output projection, stopped early.
"""

from __future__ import annotations

from collections.abc import Sequence

from clew.data.facts.facts import Facts, answer_ids
from clew.models import Model
from clew.readings.answers import learn
from clew.sites import Weight
from clew.stack import Stack


def fine_tune(
    model: Model,
    facts: Facts,
    *,
    weights: Sequence[Weight | str] | None = None,
    rank: int | None = None,
    steps: int = 200,
    lr: float = 5e-4,
    batch: int = 16,
    enough: float = 0.05,
    seed: int = 0,
) -> Stack:
    """Updates of some weights after which the targets follow the facts' prompts.

    Args:
        facts: prompts and targets; nothing else of them plays a part.
        weights: which to tune; by default the MLP's output projection an eighth of the way up, which ROME edits too.
        rank: of each update; None for full ones.
        steps: of AdamW, at most.
        batch: facts a step.
        enough: learning ends at the first pass before which every target's NLL per token is below this.
        seed: of the order of the facts.

    Returns: a Stack of an update of each weight; `about` holds the steps taken, the last loss in nats per token and
        whether it was enough.
    Raises: ValueError when the model says all targets already, or a target cannot be posed.

    >>> facts = Facts.one("The capital of {} is", "France", "Rome", "Paris")
    >>> edited = model.edited(fine_tune(model, facts, weights=["down.1"], lr=0.1))
    >>> print(edited.generate("The capital of France is", max_new_tokens=1))
    The capital of France is Rome
    """
    rows = [answer_ids(model.tokenizer, fact.asked, fact.target) for fact in facts]
    updates, history, reached = learn(
        model,
        rows,
        [f"down.{model.n_layers // 8}"] if weights is None else weights,
        lambda costs, _: costs.mean(),
        lambda costs, _: bool((costs < enough).all()),
        rank=rank,
        steps=steps,
        lr=lr,
        batch=batch,
        seed=seed,
    )
    about = {"steps": len(history), "loss": round(history[-1], 6), "enough": reached}
    return Stack(tuple(updates), f"fine-tuning: {facts.name}", about)
