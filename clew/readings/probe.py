"""Linear probes: a direction and a bias that tell two kinds of states apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.sites import near

ProbeKind = Literal["logistic", "lda", "mean_difference"]


@dataclass(frozen=True, eq=False)
class Probe:
    """Says yes where x @ weight + bias > 0.

    >>> Probe(torch.tensor([1.0, 0.0]), -2.0)(torch.tensor([5.0, 7.0]))
    tensor(3.)
    """

    weight: Float[Tensor, " d"]
    bias: float

    def __call__(self, x: Float[Tensor, "*example d"]) -> Float[Tensor, " *example"]:
        """The score of each example, [example]; above 0 is a yes."""
        return x @ self.weight + self.bias

    def right(self, x: Float[Tensor, "example d"], positive: np.ndarray) -> Bool[np.ndarray, " example"]:
        """Which examples it judges right."""
        return (self(x) > 0).numpy() == positive


def fit(
    x: Float[Tensor, "example d"], positive: np.ndarray | Tensor | Sequence[bool], *, by: ProbeKind = "logistic"
) -> Probe:
    """A probe for the positive examples against the rest, the two classes weighed equally.

    Args:
        x: one state per row.
        positive: which rows are to get a yes.
        by: "logistic", a logistic regression (L2, C = 1) of x centred and divided by one number, the median spread of a
            coordinate, which keeps directions as they are while the penalty means the same at every site; "lda", the
            difference of the means times the inverse of the covariance within classes, shrunk towards a multiple of the
            identity as Ledoit and Wolf (2004) do, so that there may be fewer examples than coordinates;
            "mean_difference", the difference of the means. The last two say yes on the positive side of the midpoint.

    Returns: a Probe in the precision of x.
    Raises: ValueError where all examples are of one class; for "logistic", ImportError naming the extra.

    >>> fit(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), [False, True], by="mean_difference")
    Probe(weight=tensor([2., 0.]), bias=-2.0)
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
    return Probe(weight.to(x), -float(weight @ (for_yes + for_no) / 2))


def _logistic(x: Float[Tensor, "example d"], yes: Bool[Tensor, " example"]) -> Probe:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ImportError("probes need scikit-learn: pip install 'clew[probes]'") from error
    mean, spread = x.mean(0), x.std(0)
    scale = float(spread[spread > 0].median()) if bool((spread > 0).any()) else 1.0
    model: Any = LogisticRegression(class_weight="balanced", max_iter=2000)
    model.fit(((x - mean) / scale).numpy(), yes.numpy())
    weight = torch.from_numpy(model.coef_[0]).to(x.dtype) / scale
    return Probe(weight, float(model.intercept_[0] - mean @ weight))


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
