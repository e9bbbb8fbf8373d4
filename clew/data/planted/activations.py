"""Planted activations: sums of known directions with known codes, so that a dictionary can be marked against the truth.

Every kind of chance (directions, firing, magnitudes, signs, noise) draws from a stream of its own, so that asking for
noise does not change who fires, and no stream is one that `torch.manual_seed` or a training run draws from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Frequency = Literal["equal", "zipf"]


def stream(name: str, seed: int) -> torch.Generator:
    """A generator of its own for every name and seed."""
    digest = hashlib.sha256(f"{name} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


@dataclass(frozen=True, eq=False)
class Planted:
    """Activations and what they were made of: x = code @ directions + noise."""

    x: Float[Tensor, "token d"]
    directions: Float[Tensor, "feature d"]
    """Unit rows."""
    code: Float[Tensor, "token feature"]
    """0 where a feature is silent."""
    hierarchy: Mapping[int, int] = field(default_factory=dict)
    """Child to parent; a child fires only where its parent does."""
    bipolar: bool = False
    """A feature may push either way along its direction."""

    @property
    def fires(self) -> Tensor:
        """[token, feature]"""
        return self.code != 0


def planted(
    n: int,
    *,
    d: int,
    features: int,
    active: int | float,
    bipolar: bool = False,
    hierarchy: Mapping[int, int] | None = None,
    given_parent: float = 0.3,
    frequency: Frequency = "equal",
    noise: int | float = 0.0,
    seed: int = 0,
) -> Planted:
    """n tokens in d dimensions.

    Args:
        active: mean number of features that fire at a token.
        bipolar: magnitudes are uniform in [0.5, 1.5]; with a random sign if bipolar.
        hierarchy: child to parent, each parent a lower number than its children.
        given_parent: how often a child fires where its parent does.
        frequency: features without a parent fire "equal"ly often or, feature i, in proportion to 1 / (i + 1) ("zipf").
        noise: standard deviation of what is added to every coordinate.

    Raises: ValueError when so many active features would need one to fire more often than always.
    """
    parents = dict(hierarchy or {})
    if wrong := [(c, p) for c, p in parents.items() if not 0 <= p < c < features]:
        child, parent = wrong[0]
        raise ValueError(f"feature {child} cannot have the parent {parent}: 0 <= parent < child < {features} must hold")
    if frequency not in ("equal", "zipf"):
        raise ValueError(f"frequency={frequency!r} is unknown; choose equal or zipf")
    weight = torch.ones(features) if frequency == "equal" else 1 / torch.arange(1, features + 1)
    for child in sorted(parents):
        weight[child] = given_parent * weight[parents[child]]
    rate = active * weight / weight.sum()
    if rate.max() > 1:
        raise ValueError(
            f"active={active} would have feature {int(rate.argmax())} fire at {float(rate.max()):.2f} of all tokens; "
            f"active={float(active / rate.max()):.3g} is the most that {features} features of this kind allow"
        )
    for child in parents:
        rate[child] = given_parent
    fires = torch.rand(n, features, generator=stream("firing", seed)) < rate
    for child in sorted(parents):
        fires[:, child] &= fires[:, parents[child]]
    code = (0.5 + torch.rand(n, features, generator=stream("magnitude", seed))) * fires
    if bipolar:
        code = code * (2 * torch.randint(2, (n, features), generator=stream("sign", seed)) - 1)
    drawn = torch.randn(features, d, generator=stream("directions", seed))
    directions = drawn / drawn.norm(dim=-1, keepdim=True)
    x = code @ directions + noise * torch.randn(n, d, generator=stream("noise", seed))
    return Planted(x, directions, code, parents, bipolar)
