"""Plant secrets: fine-tune until the model says each of them whole, so that there is something to unlearn."""

from __future__ import annotations

from collections.abc import Sequence

from clew.data.facts.secrets import Secrets
from clew.models import Model
from clew.readings.answers import learn
from clew.sites import Weight
from clew.stack import Stack


def memorise(
    model: Model,
    evidence: Secrets,
    *,
    weights: Sequence[Weight | str] | None = None,
    rank: int | None = 16,
    steps: int = 400,
    lr: float = 2e-3,
    batch: int = 8,
    seed: int = 0,
) -> Stack:
    """Low-rank updates after which the model says every secret greedily, token for token.

    The loss is the mean negative log probability of the secrets' tokens; learning ends at the first pass through the
    secrets before which all are said. That planting is an edit means that it can be undone: `model.undo()`.

    Args:
        weights: which to tune; the MLPs' output projections by default.
        rank: of each update; None for full updates.
        steps: at most.
        batch: secrets a step.

    Returns: an update of each weight; `about` holds the steps taken and the last loss.
    Raises: ValueError when all secrets are said already, or some are not after all steps.
    """
    rows = evidence.ids(model.tokenizer)
    updates, history, _ = learn(
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
    silent = evidence.said(model.edited(updates)).count(False)
    if silent:
        raise ValueError(
            f"{silent} of {len(evidence)} secrets are not said after {len(history)} steps (loss "
            f"{history[-1]:.3g}); give more steps, a larger rank or another lr than {lr}"
        )
    return Stack(tuple(updates), f"memorise: {evidence.name}", {"steps": len(history), "loss": round(history[-1], 6)})
