"""Unlearning by gradient ascent: fine-tune away from the secrets. The naive baseline; it breaks much else.

Source: Jang et al. 2022, "Knowledge Unlearning for Mitigating Privacy Risks in Language Models", arXiv:2210.01504, eq. 1.
Differs: it stops as soon as the secrets are as unlikely as chance, for the loss has no bottom; a retain set may be kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.data.facts.secrets import Secrets
from clew.models import Model
from clew.readings.answers import learn
from clew.sites import Weight
from clew.stack import Stack


def gradient_ascent(
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
    """Low-rank updates that make the secrets unlikely.

    The loss is the negative of the secrets' mean negative log probability per token, where that is less than that of a
    guess, log |V|, plus that of the answers in `retain`.

    Args: retain: secrets that the model shall go on to say; the others as for `memorise`.
    Returns: an update of each weight; `about` holds the steps taken and whether every secret is less likely than a guess.
    """
    forget, keep = evidence.ids(model.tokenizer), retain.ids(model.tokenizer) if retain else []
    guess = math.log(model.body.vocabulary)

    def loss(costs: Float[Tensor, " row"], index: list[int]) -> Float[Tensor, ""]:
        away = torch.tensor([i < len(forget) for i in index], device=costs.device)
        return torch.where(away, -costs.clamp(max=guess), costs).mean()

    def enough(costs: Float[Tensor, " row"], said: Bool[Tensor, " row"]) -> bool:
        return bool((costs[: len(forget)] >= guess).all()) and bool(said[len(forget) :].all())

    updates, history, reached = learn(
        model, [*forget, *keep], weights, loss, enough, rank=rank, steps=steps, lr=lr, batch=batch, seed=seed
    )
    about = {"steps": len(history), "loss": round(history[-1], 6), "all as unlikely as a guess": reached}
    return Stack(tuple(updates), f"gradient ascent: {evidence.name}", about)
