"""The direction that tells wanted states from unwanted ones best where both spread alike: linear discriminant analysis."""

from __future__ import annotations

from collections.abc import Sequence

from clew.changes import Steer
from clew.edits.steering._directions import At, Steered, normal, read, steering, two_sides
from clew.models import Model
from clew.sites import Site
from clew.stack import Stack


def lda(
    model: Model,
    evidence: Steered,
    *,
    sites: Sequence[Site | str] | None = None,
    at: At = None,
    steer: Steer = Steer(),
    labelling: str | None = None,
    positive: str | None = None,
) -> Stack:
    """Add, at each site, the weight of a probe for the wanted states.

    It is the mean difference times the inverse of the covariance within the sides, so an axis along which both sides
    spread wide counts for little. Of pairs it sees each state less its pair's midpoint.

    Args: as for `mean_difference`.
    Returns: a Stack of one Add for each site; `about` also holds for each site the balanced `accuracy` of the probe on
        texts that it was not fitted on, in five folds (None where there are too few).
    Raises: ValueError as for `mean_difference`; of a gap inside its noise where the probe, too, tells no other texts.

    Source: Fisher 1936, with the covariance shrunk as by Ledoit and Wolf 2004 (clew.readings.probe), for there are mostly
    fewer texts than coordinates. The vector is as long as the two means lie apart along it.

    ```python
    texts = (["I love this film", "What a joy", "A wonderful day"], ["I hate this film", "What a bore", "A terrible day"])
    steer = clew.Steer(scale=0.6)
    stack = clew.edit(clew.open("smollm2-135m"), texts, by="lda", sites=["resid.10", "resid.15"], steer=steer)
    ```
    """
    texts = two_sides(evidence, labelling, positive)
    return steering(
        "lda",
        texts,
        read(texts, model, sites, at),
        normal("lda"),
        steer,
    )
