"""What the estimators of steering vectors share: two sides of evidence, what sites hold of them, one size for all.

A direction always points from what is unwanted to what is wanted. Estimators differ in the direction they find, not in
how long it is: at scale 1 the edit moves the average unwanted state as far along the direction as the average wanted
state lies from it ("natural"), or by 1 ("unit").
"""

from __future__ import annotations

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
from clew.evidence import Given
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
    n = len(texts.wanted)
    return {site: Sides(x[:n], x[n:], texts.paired) for site, x in both.items()}


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

    @property
    def gap(self) -> Float[Tensor, " d"]:
        """From the mean of the unwanted to the mean of the wanted."""
        return self.wanted.mean(0) - self.unwanted.mean(0)

    def examples(self) -> tuple[Float[Tensor, "example d"], Bool[Tensor, " example"]]:
        """All rows, and which of them are wanted."""
        yes = torch.arange(len(self.wanted) + len(self.unwanted)) < len(self.wanted)
        return torch.cat([self.wanted, self.unwanted]), yes

    def split(self, n: int) -> list[Sides]:
        """n runs of coordinates of equal width: a `head` site's single heads."""
        wanted, unwanted = (side.unflatten(-1, (n, -1)).unbind(1) for side in (self.wanted, self.unwanted))
        return [Sides(*both, self.paired) for both in zip(wanted, unwanted, strict=True)]

    def centred(self) -> Sides:
        """Pairs with their midpoints taken off, so that what differs from pair to pair is no noise; others as they are."""
        half = (self.wanted - self.unwanted) / 2 if self.paired else None
        return self if half is None else Sides(half, -half, True)

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

    Raises: ValueError where a vector is zero, or as good as: both sides hold the same.
    """
    edits: list[Add] = []
    said: dict[str, Any] = {}
    for site, sides in found.items():
        vector, about = estimate(sides)
        size = float(vector.norm())
        if not size > SAME * float(sides.examples()[0].norm(dim=-1).mean()):
            raise ValueError(
                f"wanted and unwanted texts of {texts.name} do not differ on average at {site}, so no direction leads "
                "from one to the other; read them at another token (at=) or site. Where every unwanted prompt is also a "
                "wanted one, as in pairs that are turned around, they differ nowhere: take another behaviour, or texts"
            )
        edits.append(steer.add(site, vector))
        said[str(site)] = {"size": size, "gap": float(sides.gap.norm()), **about}
    return Stack(tuple(edits), name, {"estimator": name, "norm": steer.norm, **texts.about, "sites": said})
