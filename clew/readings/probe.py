"""Probes: how the weight and the bias of one are learnt from states, and what it says of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Pair
from clew.evidence import Given
from clew.models import Model
from clew.models.tokens import rows_of
from clew.near import near
from clew.probing import Pool, Probe
from clew.readings.states import states
from clew.sites import Site

ProbeKind = Literal["logistic", "lda", "mean_difference"]
Head = tuple[Float[Tensor, " d"], float]
"""(weight, bias): says yes where x @ weight + bias > 0. An estimator knows rows; with a site it becomes a `Probe`."""
HIDDEN = 64
"""Width of BLIND's success detector."""


def pooled(model: Model, texts: Sequence[Given], site: Site | str, pool: Pool) -> Float[Tensor, "text d"]:
    """What a probe reads of each text, with the model's edits in force; the run stops at the site.

    Raises: ValueError for a pool of every token, or a text too short for the pool.
    """
    site = model.body.site(site)
    if pool.tokens == "every":
        raise ValueError("a text is told by one state: the last token's or the mean, not by every token's")
    return states(model, texts, [site], at="mean" if pool.tokens == "mean" else -1, skip=pool.skip)[site]


def scores(model: Model, texts: Sequence[Given], probe: Probe) -> Float[Tensor, " text"]:
    """What a probe says of each text, with the model's edits in force: above 0 a yes, or the second class."""
    return probe(pooled(model, texts, probe.site, probe.pool))


def asks(model: Model, texts: Sequence[Given], labels: Sequence[str], probe: Probe) -> Behaviour:
    """A behaviour without patch prompts whose metric is how far a probe leans towards each text's label.

    Raises: ValueError for a label that is not one of its classes.
    """
    for label in labels:
        probe.sign(label)
    rows = rows_of(model, texts, "text")
    pairs = tuple(Pair(tuple(row), None, (), case=label) for row, label in zip(rows, labels, strict=True))
    below, above = probe.classes or ("no", "yes")
    return Behaviour(f"{above} or {below}", pairs, probe, split=len(pairs))


def fit(
    x: Float[Tensor, "example d"], positive: np.ndarray | Tensor | Sequence[bool], *, by: ProbeKind = "logistic"
) -> Head:
    """A linear head for the positive examples against the rest, the two classes weighed equally.

    Args:
        x: one state per row.
        positive: which rows are to get a yes.
        by: "logistic", a logistic regression (L2, C = 1) of x centred and divided by one number, the median spread of a
            coordinate, which keeps directions as they are while the penalty means the same at every site; "lda", the
            difference of the means times the inverse of the covariance within classes, shrunk towards a multiple of the
            identity as Ledoit and Wolf (2004) do, so that there may be fewer examples than coordinates;
            "mean_difference", the difference of the means. The last two say yes on the positive side of the midpoint.

    Returns: the weight in the precision of x, and the bias.
    Raises: ValueError where all examples are of one class; for "logistic", ImportError naming the extra.

    >>> fit(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), [False, True], by="mean_difference")
    (tensor([2., 0.]), -2.0)
    """
    yes = torch.as_tensor(positive, dtype=torch.bool)
    if by not in get_args(ProbeKind):
        raise ValueError(f"there is no probe {by!r}; {near(by, get_args(ProbeKind))}")
    if bool(yes.all()) or not bool(yes.any()):
        raise ValueError(
            f"all {len(yes)} texts to learn from are of one class, so there is nothing to tell apart; "
            "give more texts or another fraction"
        )
    if by == "logistic":
        return _logistic(x, yes)
    wide = x.double()
    for_yes, for_no = wide[yes].mean(0), wide[~yes].mean(0)
    weight = for_yes - for_no
    if by == "lda":
        within = torch.where(yes[:, None], wide - for_yes, wide - for_no)
        weight = torch.linalg.solve(shrunk_covariance(within), weight)
    return weight.to(x), -float(weight @ (for_yes + for_no) / 2)


def _logistic(x: Float[Tensor, "example d"], yes: Bool[Tensor, " example"]) -> Head:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ImportError("probes need scikit-learn: pip install 'clew[probes]'") from error
    mean, spread = x.mean(0), x.std(0)
    scale = float(spread[spread > 0].median()) if bool((spread > 0).any()) else 1.0
    model: Any = LogisticRegression(class_weight="balanced", max_iter=2000)
    model.fit(((x - mean) / scale).numpy(), yes.numpy())
    weight = torch.from_numpy(model.coef_[0]).to(x.dtype) / scale
    return weight, float(model.intercept_[0] - mean @ weight)


def shrunk_covariance(x: Float[Tensor, "example d"]) -> Float[Tensor, "d d"]:
    """The covariance of centred rows, moved towards a multiple of the identity by the share that Ledoit and Wolf prove
    best for many rows: their noise over their distance from it. The identity where all rows are 0."""
    n, d = x.shape
    sample = x.T @ x / n
    size = sample.trace() / d
    if size == 0:
        return torch.eye(d, dtype=x.dtype)
    even = size * torch.eye(d, dtype=x.dtype)
    distance = (sample - even).square().sum()
    noise = (x.square().sum(1).square().mean() - sample.square().sum()) / n
    share = (noise / distance).clamp(0, 1) if distance > 0 else torch.ones_like(size)
    return share * even + (1 - share) * sample


def learn(
    x: Float[Tensor, "example d"],
    positive: Bool[np.ndarray, " example"],
    *,
    epochs: int = 1,
    lr: float = 1e-2,
    batch: int = 32,
    gamma: float = 0.0,
    seed: int = 0,
) -> Head:
    """A linear head by AdamW, on x centred and divided by the median spread of a coordinate.

    Args:
        gamma: above 0, BLIND: beside the head a success detector learns to predict, from the same x, whether the head
            is right, and each example counts (1 - p)^gamma of its loss, p being that prediction. What is easy for a
            shortcut then counts less, and no one needs to say what the shortcut is; but examples that the shortcut
            gets wrong must be there. At 0 it is the plain head, bit for bit.

    Raises: ValueError where all examples are of one class.
    Source: BLIND: Orgad & Belinkov 2023 (arXiv:2212.10563), the debiased focal loss. Differs: states are frozen, and
    the detector has a hidden layer, for whether a linear head is right is seldom linear in what it reads.
    """
    if positive.all() or not positive.any():
        raise ValueError(f"all {len(positive)} texts are of one class, so there is nothing to tell apart")
    mean, spread = x.mean(0), x.std(0)
    scale = spread[spread > 0].median() if bool((spread > 0).any()) else torch.ones(()).to(x)
    z, y = (x - mean) / scale, torch.from_numpy(positive).to(x)
    generator, d = torch.Generator().manual_seed(seed), x.shape[1]
    head = [torch.zeros(d, dtype=x.dtype), torch.zeros((), dtype=x.dtype)]
    detector = [torch.randn(*n, generator=generator, dtype=x.dtype) / n[0] ** 0.5 for n in ((d, HIDDEN), (HIDDEN,))]
    optimiser = torch.optim.AdamW([parameter.requires_grad_() for parameter in (*head, *detector)], lr=lr)
    for _ in range(epochs):
        for some in torch.randperm(len(x), generator=generator).split(batch):
            says, succeeds = z[some] @ head[0] + head[1], (z[some] @ detector[0]).relu() @ detector[1]
            right = ((says > 0) == (y[some] > 0)).to(x)
            counts = (gamma * logsigmoid(-succeeds.detach())).exp()
            loss = (counts * binary_cross_entropy_with_logits(says, y[some], reduction="none")).mean()
            optimiser.zero_grad()
            (loss + binary_cross_entropy_with_logits(succeeds, right)).backward()  # neither moves the other's weights
            optimiser.step()
    weight = head[0].detach() / scale
    return weight, float(head[1].detach() - mean @ weight)
