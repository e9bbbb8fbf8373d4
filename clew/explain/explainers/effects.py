"""What a unit does to the next token: the tokens that become likelier, and those that become less likely, when it is added.

The unit's direction is added at the last token of contexts, as strongly as gives a mean KL(clean || edited) of `sigma`, and
the mean change of each token's log-probability is looked at. Any direction changes some tokens most. So a token is named
only where its change stands out of those of random directions at the same site and of the same divergence: it is farther
from their mean, in their standard deviations, than any token of one random direction in twenty. So one in twenty units
that mean nothing would be said to do something; of random directions in a real model 5 to 14 in a hundred were. What is
measured is the whole model above the site, and not the direct path alone that the logit lens reads (`promotes` of
`top_tokens`): that names tokens for every direction.

Source: the intervention of Paulo et al. 2024, arXiv:2410.13928, where a language model is told of tokens whose probability
grows. Differs: contexts are the same for all units, whether they fire there or not, so that the clean run is shared and
random directions can be compared; they are beginnings of documents that explanations may be made from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.data.predicates.predicate import unit_of
from clew.data.predicates.table import Table
from clew.explain._ground import CHECK, TRAIN
from clew.explain._sides import sides_of
from clew.firings import Firings
from clew.labels import Kind
from clew.models import Model
from clew.progress import Tell
from clew.readings.pushed import SIGMA, Contexts, Pushed, contexts_of, row_of
from clew.sites import Site

USUAL, OTHERS = 20, 20
"""Random directions by which changes are measured, and others, which say how far from these chance goes."""
ONE_IN_TWENTY = 1.866
"""Standard deviations above the mean at which Gumbel's law, which the largest of many follow, leaves a twentieth."""
SPREAD = 0.2
"""Nats that are added to a token's standard deviation over them, which is of few."""
LIKELY = 1e-5
"""A token is named whose mean probability, after it was raised or before it was lowered, is above this."""
AT_ONCE = 16
"""Directions whose changes are held together."""
NOTHING = "nothing stands out"


@dataclass(frozen=True)
class Effects:
    """The tokens that a side of a unit raises and lowers.

    >>> str(Effects({3: " is"}, {5: " are"}))
    "raises ' is'; lowers ' are'"
    """

    kind: ClassVar[Kind] = "effects"
    scored_by: ClassVar[tuple[str, ...]] = ("intervention",)

    raises: Mapping[int, str] = field(default_factory=dict[int, str])
    """By their ids, the farthest from chance first."""
    lowers: Mapping[int, str] = field(default_factory=dict[int, str])
    side: int = 1
    """1 or -1: what was added is the unit's direction or its negative."""
    sigma: float = SIGMA
    """Mean KL(clean || edited) at which this was seen, in nats."""
    strength: float = 1.0
    """What the direction was multiplied by."""
    stands_out: bool = True
    """Whether random directions do nothing like it. Where not, the tokens are those that come nearest to it."""

    def __bool__(self) -> bool:
        """Whether anything stands out."""
        return self.stands_out

    def __call__(self, table: Table, firings: Firings | None = None) -> Float[np.ndarray, " token"]:
        """Raises: ValueError: what a unit does to the next token does not say where it fires."""
        raise ValueError(
            f"{str(self)!r} is of the next token and does not say where a unit fires; score it by intervention, or explain "
            "the unit by rules"
        )

    def __str__(self) -> str:
        said = [f"{verb} {_listed(of)}" for verb, of in (("raises", self.raises), ("lowers", self.lowers)) if of]
        return f"{'; '.join(said)}{' (its negative side)' * (self.side < 0)}" if self and said else NOTHING


def _listed(tokens: Mapping[int, str]) -> str:
    return ", ".join(map(repr, tokens.values()))


def effects(
    firings: Firings,
    units: Sequence[str],
    table: Table | None = None,
    *,
    model: Model,
    sigma: float = SIGMA,
    n: int = 5,
    sides: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Mapping[str, tuple[Effects, ...]]:
    """What each unit does, and one such for each of two sides where it also fires below 0.

    Args:
        firings: of units in a text; its beginnings of documents are the contexts.
        units: addresses, such as resid.7/12.
        table: of the text of the firings, if it is at hand.
        model: seen through the dictionaries whose units these are.
        sigma: how far the model is moved: the mean KL(clean || edited) of the next token, in nats.
        n: how many tokens are named on either hand at most.
        sides: explain both; otherwise the one on which the unit sums to more.
        seed: draws the contexts and the random directions.
        progress: told after some units.

    Returns: by address; what is false says "nothing stands out".
    Raises: ValueError for a unit that the model's view has not; for a sigma that is not above 0; for a text of other tokens.
    """
    contexts = contexts_of(model, firings, Table.of(firings) if table is None else table, (TRAIN, CHECK), seed)
    asked = [(unit, side) for unit in units for side in sides_of(firings.row(*unit_of(unit)), both=sides)]
    found: dict[tuple[str, int], Effects] = {}
    for site in dict.fromkeys(unit_of(unit)[0] for unit, _ in asked):
        here = [(unit, side) for unit, side in asked if unit_of(unit)[0] == site]
        chance, farthest = _chance(contexts, site, sigma, seed)
        for some in (here[i : i + AT_ONCE] for i in range(0, len(here), AT_ONCE)):
            rows = torch.stack([side * row_of(model, unit) for unit, side in some])
            done = contexts.at_kl(site, rows, sigma)
            far = chance.far(Done.of(contexts, done))
            for (unit, side), hands, strength in zip(some, far, done.strength.tolist(), strict=True):
                told = [_hand(model, hand, farthest, n) for hand in hands]
                out = bool(told[0] or told[1])
                raises, lowers = told if out else [_hand(model, hand, 0.0, n) for hand in hands]
                found[unit, side] = Effects(raises, lowers, side, sigma, strength, out)
            if progress:
                progress(len(found), len(asked))
    return {unit: tuple(found[u, side] for u, side in asked if u == unit) for unit in units}


@dataclass(frozen=True, eq=False)
class Done:
    """What directions do to each token, over all contexts."""

    change: Float[Tensor, "direction token"]
    """Mean change of the log-probability."""
    could: Bool[Tensor, "direction hand token"]
    """Whether a token could be named as raised, and as lowered: it was, and is likely enough after or before."""

    @classmethod
    def of(cls, contexts: Contexts, pushed: Pushed) -> Done:
        """Of directions that reached the divergence; of others no token could be named."""
        change, clean = pushed.change.mean(1), contexts.clean
        after, before = (clean + pushed.change).exp().mean(1) > LIKELY, clean.exp().mean(0) > LIKELY
        could = torch.stack([(change > 0) & after, (change < 0) & before], dim=1)
        return cls(change, could & pushed.strength.isfinite().to(could.device)[:, None, None])


@dataclass(frozen=True, eq=False)
class Chance:
    """What random directions do."""

    mean: Float[Tensor, " token"]
    spread: Float[Tensor, " token"]

    @classmethod
    def of(cls, done: Done) -> Chance:
        return cls(done.change.mean(0), done.change.std(0) + SPREAD)

    def far(self, done: Done) -> Float[Tensor, "direction hand token"]:
        """By how many standard deviations each token is raised, and lowered, more than by chance; 0 where it is not."""
        far = (done.change - self.mean) / self.spread
        return torch.where(done.could, torch.stack([far, -far], dim=1), 0.0).clamp(min=0)


@lru_cache(maxsize=32)
def _chance(contexts: Contexts, site: Site, sigma: float, seed: int) -> tuple[Chance, float]:
    """What random directions do at a site; and how far from it one of which this was not learnt goes once in twenty."""
    width, draw = contexts.model.body.widths[site], torch.Generator().manual_seed(seed)
    rows = torch.randn(USUAL + OTHERS, width, generator=draw).to(contexts.model.device)
    learnt, others = (Done.of(contexts, contexts.at_kl(site, some, sigma)) for some in rows.split([USUAL, OTHERS]))
    chance = Chance.of(learnt)
    most = chance.far(others).amax((1, 2))
    return chance, float(most.mean() + ONE_IN_TWENTY * most.std()) if bool((most > 0).all()) else float("inf")


def _hand(model: Model, far: Float[Tensor, " token"], above: float, n: int) -> dict[int, str]:
    """The tokens that are farther than this, the farthest first."""
    top = far.topk(min(n, len(far)))
    return {t: str(model.tokenizer.decode([t])) for t in top.indices[top.values > above].tolist()}
