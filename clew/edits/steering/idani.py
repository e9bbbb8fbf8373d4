"""Neuron-level domain adaptation: move the coordinates in which two domains differ most, when the text is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.changes import Add
from clew.edits.steering._directions import At, Sides, Steered, read, two_sides
from clew.models import Model
from clew.readings.probe import fit
from clew.sites import EVERY, Site, Where
from clew.stack import Stack

Ranking = Literal["probeless", "linear"]


def idani(
    model: Model,
    evidence: Steered,
    *,
    sites: Sequence[Site | str] | None = None,
    rank: Ranking = "probeless",
    k: int | None = None,
    first: float = 1.0,
    last: float = 1e-3,
    at: At = None,
    where: Where = EVERY,
    labelling: str | None = "domain",
    positive: str | None = "source",
) -> Stack:
    """Shift states of a target domain towards those of the source domain, in the k coordinates that differ most.

    x_n becomes x_n + a_n (source mean - target mean)_n, where a_n falls geometrically with the rank of n. What the model
    learnt on the source domain then applies to the target domain; no label of the target domain is needed.

    Args:
        evidence: Labelled texts of two domains; two lists, (source texts, target texts); or pairs, clean from the source.
        sites: as for `mean_difference`.
        rank: "probeless", by the difference of the two means; "linear", by the size of the weights of a logistic
            regression that tells the domains apart.
        k: how many coordinates are moved; all by default, none at 0.
        first, last: a_n at the first rank and at the rank d, the width of the site. With both 1, and all coordinates,
            the target's mean becomes that of the source.
        at: as for `mean_difference`.
        where: the positions that are moved; every one by default.
        labelling, positive: of Labelled texts, the labelling that tells domains apart and the class that is the source.

    Returns: a Stack of one Add for each site; its vector is 0 outside the k coordinates. `about` holds the first ten.
    Raises: ValueError for a side without texts, or a `k`, `first` or `last` out of range; for "linear", ImportError
        naming the extra "probes".

    Source: Antverg, Ben-David and Belinkov 2022 (arXiv:2206.00259); `first` is their beta,
    1 to 10. Differs: "linear" ranks by one regression, where theirs collects coordinates over growing shares of its
    weight's mass, which for two domains is the same order.

    ```python
    texts = (["The plot drags", "A fine cast"], ["The blender broke", "A sturdy kettle"])
    stack = clew.edit(clew.open("smollm2-135m"), texts, by="idani", sites=["resid.29"], k=50, first=2.0)
    ```
    """
    if first <= 0 or last <= 0 or (k is not None and k < 0):
        raise ValueError(f"k={k}, first={first}, last={last}: coordinates are counted, and their shares lie above 0")
    texts = two_sides(evidence, labelling, positive)
    edits, said = [], {}
    for site, sides in read(texts, model, sites, at).items():
        order = _ranked(sides, rank)
        share = torch.zeros_like(sides.gap)
        share[order] = _falling(first, last, len(order)).to(share)
        share[order[len(order) if k is None else k :]] = 0.0
        vector = share * sides.gap
        edits.append(Add(site, vector=vector, where=where))
        said[str(site)] = {"size": float(vector.norm()), "gap": float(sides.gap.norm()), "units": order[:10].tolist()}
    about = {
        "estimator": f"idani, {rank}",
        "norm": "natural",
        **texts.about,
        "k": k,
        "first": first,
        "last": last,
        "sites": said,
    }
    return Stack(tuple(edits), "idani", about)


def _ranked(sides: Sides, rank: Ranking) -> Int[Tensor, " d"]:
    if rank == "probeless":
        return sides.gap.abs().argsort(descending=True, stable=True)
    x, source = sides.examples()
    return fit(x, source, by="logistic")[0].abs().argsort(descending=True, stable=True)


def _falling(first: float, last: float, d: int) -> Float[Tensor, " d"]:
    """d numbers from `first` to `last`, each the same multiple of the one before."""
    return first * (last / first) ** torch.linspace(0, 1, d, dtype=torch.float64)
