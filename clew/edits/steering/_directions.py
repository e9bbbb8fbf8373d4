"""What the estimators of steering vectors share: two sides of evidence, what sites hold of them, one size for all.

A direction always points from what is unwanted to what is wanted. Estimators differ in the direction they find, not in
how long it is: at scale 1 the edit moves the average unwanted state as far along the direction as the average wanted
state lies from it ("natural"), or by 1 ("unit").
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.changes import Add, Steer
from clew.data.behaviours.behaviour import Behaviour
from clew.data.labels.labelled import Labelled
from clew.data.text.lists import Texts, TwoSides
from clew.evidence import Given, digest, groups
from clew.models import Model
from clew.readings.probe import ProbeKind, fit
from clew.readings.states import states
from clew.sites import Site
from clew.stack import Stack

Steered = Behaviour | Labelled | Texts | tuple[Sequence[Given], Sequence[Given]]
"""Pairs (clean is wanted, patch is not), texts with classes, or wanted and unwanted texts as two lists."""
At = int | Literal["mean"] | None
FOLDS = 5
SAME = 1e-6
"""Two sides whose means lie nearer than this, as a share of a state's norm, hold the same texts in another order."""
CHANCE = 1.5
"""A gap of up to so many standard errors may come of chance: it does in one of twenty cases where states vary along five
axes, and in fewer where they vary along more."""
ELSEWHERE = (
    "read them at another token (at=) or site. Where every unwanted prompt is also a wanted one, as in pairs that are "
    "turned around, they differ nowhere: take another behaviour, or texts"
)


def two_sides(evidence: Steered, labelling: str | None = None, positive: str | None = None) -> TwoSides:
    """The wanted and the unwanted texts of evidence. Args: of labelled texts, the labelling and its wanted class.

    Raises: ValueError naming the labellings or classes there are, or for lists that are no two sides.
    """
    return Texts.of(evidence).two_sides(labelling, positive)


def read(texts: TwoSides, model: Model, sites: Sequence[Site | str] | None, at: At) -> dict[Site, Sides]:
    """What the sites hold of both sides. Args: as of every estimator: see `mean_difference`.

    Raises: ValueError where a side has no texts.
    """
    if not texts.wanted or not texts.unwanted:
        missing = "unwanted" if texts.wanted else "wanted"
        raise ValueError(f"{texts.name} has no {missing} texts, and a direction leads from one side to the other")
    both = states(model, [*texts.wanted, *texts.unwanted], **place(texts, model, sites, at))
    n, prompts = len(texts.wanted), _prompts(texts)
    return {site: Sides(x[:n], x[n:], texts.paired, prompts) for site, x in both.items()}


def _prompts(texts: TwoSides) -> tuple[int, ...]:
    """Of each text, wanted ones first, which group it is of: copies are one, and pairs that share a prompt are."""
    keys = [[digest(text)] for text in (*texts.wanted, *texts.unwanted)]
    if not texts.paired:
        return tuple(groups(keys))
    n = len(texts.wanted)
    return 2 * tuple(groups([a + b for a, b in zip(keys[:n], keys[n:], strict=True)]))


def place(texts: TwoSides, model: Model, sites: Sequence[Site | str] | None, at: At) -> dict[str, Any]:
    """Which sites to read at which token."""
    at = (-1 if texts.position is None else texts.position) if at is None else at
    sites = [Site("resid", model.n_layers // 2)] if sites is None else sites
    return {"sites": sites, "at": at, "skip": 1 if at == "mean" else 0}


@dataclass(frozen=True, eq=False)
class Sides:
    """What one site holds of the wanted and of the unwanted texts."""

    wanted: Float[Tensor, "wanted d"]
    unwanted: Float[Tensor, "unwanted d"]
    paired: bool
    prompts: tuple[int, ...]
    """Of each row, wanted ones first, the group of prompts that it is of."""

    @property
    def gap(self) -> Float[Tensor, " d"]:
        """From the mean of the unwanted to the mean of the wanted."""
        return self.wanted.mean(0) - self.unwanted.mean(0)

    @property
    def noise(self) -> float | None:
        """The standard error of the gap, over groups of prompts and all coordinates; None for fewer than five on a side.

        Chance alone makes a gap of about this length. A pair and its reverse, or copies, are one group.
        """
        n = len(self.wanted)
        if min(len(set(self.prompts[:n])), len(set(self.prompts[n:]))) < FOLDS:
            return None
        off = [(self.wanted - self.wanted.mean(0)) / n, (self.unwanted.mean(0) - self.unwanted) / len(self.unwanted)]
        index = torch.tensor(self.prompts).unique(return_inverse=True)[1]
        many = int(index.max()) + 1
        parts = torch.cat(off).double()
        parts = parts.new_zeros(many, parts.shape[1]).index_add(0, index, parts)
        return float((parts.square().sum() * many / (many - 1)).sqrt())

    def examples(self) -> tuple[Float[Tensor, "example d"], Bool[Tensor, " example"]]:
        """All rows, and which of them are wanted."""
        yes = torch.arange(len(self.wanted) + len(self.unwanted)) < len(self.wanted)
        return torch.cat([self.wanted, self.unwanted]), yes

    def split(self, n: int) -> list[Sides]:
        """n runs of coordinates of equal width: a `head` site's single heads."""
        wanted, unwanted = (side.unflatten(-1, (n, -1)).unbind(1) for side in (self.wanted, self.unwanted))
        return [Sides(*both, self.paired, self.prompts) for both in zip(wanted, unwanted, strict=True)]

    def centred(self) -> Sides:
        """Pairs with their midpoints taken off, so that what differs from pair to pair is no noise; others as they are."""
        half = (self.wanted - self.unwanted) / 2 if self.paired else None
        return self if half is None else Sides(half, -half, True, self.prompts)

    def accuracy(self, by: ProbeKind) -> float | None:
        """Balanced accuracy of a probe on folds it was not fitted on; a pair lies in one fold. None for too few texts."""
        folds = min(FOLDS, len(self.wanted), len(self.unwanted))
        if folds < 2:
            return None
        x, yes = self.examples()
        fold = torch.cat([torch.arange(len(side)) % folds for side in (self.wanted, self.unwanted)])
        said = torch.zeros_like(yes)
        for held in range(folds):
            weight, bias = fit(x[fold != held], yes[fold != held], by=by)
            said[fold == held] = x[fold == held] @ weight + bias > 0
        return float(said[yes].double().mean() + (~said[~yes]).double().mean()) / 2

    def along(self, direction: Float[Tensor, " d"]) -> Float[Tensor, " d"]:
        """The direction, as long as the two means lie apart on it."""
        unit = direction / direction.norm()
        return (self.gap @ unit).abs() * unit


Estimate = tuple[Float[Tensor, " d"], Mapping[str, Any]]
"""A vector of natural size, and what is to be said of it."""


def normal(by: ProbeKind) -> Callable[[Sides], Estimate]:
    """An estimate: the weight of a probe, and its accuracy on folds it was not fitted on."""

    def estimate(sides: Sides) -> Estimate:
        seen = sides.centred()
        return sides.along(fit(*seen.examples(), by=by)[0]), {"accuracy": seen.accuracy(by)}

    return estimate


def steering(
    name: str,
    texts: TwoSides,
    found: Mapping[Site, Sides],
    estimate: Callable[[Sides], Estimate],
    steer: Steer,
) -> Stack:
    """One Add for each site, with what `estimate` makes of its two sides.

    Raises: ValueError where a vector is zero, or as good as: both sides hold the same; and where the gap between the means
        of pairs is inside its noise. Warns where that of two lists is: few texts that differ in much else are like that.
        Neither where a probe tells the sides of texts that it was not fitted on.
    """
    edits: list[Add] = []
    said: dict[str, Any] = {}
    for site, sides in found.items():
        vector, about = estimate(sides)
        size, gap, noise = float(vector.norm()), float(sides.gap.norm()), sides.noise
        if not size > SAME * float(sides.examples()[0].norm(dim=-1).mean()):
            raise ValueError(
                f"wanted and unwanted texts of {texts.name} do not differ on average at {site}, so no direction leads "
                f"from one to the other; {ELSEWHERE}"
            )
        if noise is not None and gap <= CHANCE * noise and about.get("accuracy", 0.0) <= 0.5:
            _by_chance(texts, f"{gap:.3g} apart on average at {site}", f"{noise:.3g} over {len(set(sides.prompts))}")
        edits.append(steer.add(site, vector))
        said[str(site)] = {"size": size, "gap": gap, "noise": noise, **about}
    return Stack(tuple(edits), name, {"estimator": name, "norm": steer.norm, **texts.about, "sites": said})


def _by_chance(texts: TwoSides, apart: str, noise: str) -> None:
    """Say that what lies between the two sides is noise. Raises: ValueError where they are pairs; else warns."""
    said = (
        f"wanted and unwanted texts of {texts.name} lie {apart}, where chance alone would put them about as far "
        f"(standard error {noise} groups of prompts), so the direction is mostly noise; give more texts, or"
    )
    if texts.paired:
        raise ValueError(f"{said} {ELSEWHERE}")
    warnings.warn(f"{said} pairs that differ in nothing else", stacklevel=4)
