"""The normal of a logistic regression that tells wanted states from unwanted ones."""

from __future__ import annotations

from collections.abc import Sequence

from clew.changes import Steer
from clew.edits.steering._directions import At, Steered, normal, read, steering, two_sides
from clew.models import Model
from clew.sites import Site
from clew.stack import Stack


def logistic(
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

    The regression looks for what tells the sides apart, and weighs down what varies within them. Of pairs it sees each
    state less its pair's midpoint, so that only what differs within pairs counts.

    Args: as for `mean_difference`.
    Returns: a Stack of one Add for each site; `about` also holds for each site the balanced `accuracy` of the probe on
        texts that it was not fitted on, in five folds (None where there are too few).
    Raises: ValueError as for `mean_difference`; of a gap inside its noise where the probe, too,
        tells no other texts; ImportError naming the extra "probes".

    Source: the reading directions of Zou et al. 2023 (arXiv:2310.01405), section 3.1, with a logistic regression; the
    probe is that of clew.readings.probe. Differs: the vector is as long as the two means lie apart along it.

    ```python
    texts = (["I love this film", "What a joy", "A wonderful day"], ["I hate this film", "What a bore", "A terrible day"])
    steer = clew.Steer(scale=0.6)
    stack = clew.edit(clew.open("smollm2-135m"), texts, by="logistic", sites=["resid.10", "resid.15"], steer=steer)
    ```
    """
    texts = two_sides(evidence, labelling, positive)
    return steering(
        "logistic",
        texts,
        read(texts, model, sites, at),
        normal("logistic"),
        steer,
    )
