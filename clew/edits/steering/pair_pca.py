"""The axis along which pairs differ most: principal components of centred pairs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from clew.changes import Steer
from clew.edits.steering._directions import At, Estimate, Sides, Steered, read, steering, two_sides
from clew.models import Model
from clew.sites import Site
from clew.stack import Stack

ALIGNED = 0.5
"""Below this cosine (60 degrees) between the axis and the mean difference the axis is taken for a nuisance."""


def pair_pca(
    model: Model,
    evidence: Steered,
    *,
    sites: Sequence[Site | str] | None = None,
    at: At = None,
    steer: Steer = Steer(),
    faithful: bool = False,
) -> Stack:
    """Add, at each site, the first principal axis of the pairs, each centred on its own midpoint.

    With d_i the difference of pair i, these are the points +d_i / 2 and -d_i / 2. Their mean is 0, so nothing is taken
    off, and their first axis is that of the d_i without centring. It points to the side on which most clean prompts lie.

    The axis is that of the largest spread, not of the mean: where pairs differ more by a nuisance than by what is
    wanted, it is the nuisance. Then `about` holds a `warning`, and the function warns.

    Args: as for `mean_difference`, but the evidence must be pairs.
        faithful: as repeng does by default, take the mean of the d_i off before the axis is computed, although it is
            what is wanted.

    Returns: a Stack of one Add for each site; `about` also holds for each site the share of the differences' square sum
        that the axis explains (`explained`) and its cosine with their mean (`alignment`).
    Raises: ValueError for evidence that is not pairs.
    Warns: UserWarning where the alignment is below 0.5.

    Source: Zou et al. 2023 (arXiv:2310.01405), section 3.1, and the estimators of repeng ("pca_center"; with
    faithful=True "pca_diff"). Differs: the vector is as long as the two means lie apart along it, not of length 1.

    ```python
    pairs = tuple(clew.Pair(f"{x} is good", f"{x} is bad", " yes", " no") for x in ("tea", "rain", "snow"))
    stack = clew.edit(clew.open("smollm2-135m"), clew.Behaviour("good", pairs), by="pair_pca", steer=clew.Steer(scale=4.0))
    ```
    """
    texts = two_sides(evidence)
    if not texts.paired:
        raise ValueError(
            f"pair_pca needs pairs, that is a Behaviour with patch prompts, not {texts.name}; "
            "for two classes of texts use mean_difference, logistic or lda"
        )
    stack = steering(
        "pair pca, centred as repeng" if faithful else "pair pca",
        texts,
        read(texts, model, sites, at),
        lambda sides: _axis(sides, faithful),
        steer,
    )
    for site, said in stack.about["sites"].items():
        if "warning" in said:
            warnings.warn(f"pair_pca at {site}: {said['warning']}", stacklevel=2)
    return stack


def _axis(sides: Sides, faithful: bool) -> Estimate:
    differences = (sides.wanted - sides.unwanted).double()
    cloud = differences - differences.mean(0) if faithful else differences
    _, size, rows = torch.linalg.svd(cloud, full_matrices=False)
    projected = differences @ rows[0]
    axis = -rows[0] if int((projected < 0).sum()) > int((projected > 0).sum()) else rows[0]
    gap = differences.mean(0)
    alignment = float(axis @ gap / gap.norm())
    about: dict[str, Any] = {"explained": float(size[0] ** 2 / size.square().sum()), "alignment": alignment}
    if alignment < ALIGNED:
        about["warning"] = (
            f"the first axis of the pairs has a cosine of {alignment:.2f} with their mean difference, so it is rather a "
            "nuisance in which pairs differ than what they have in common; use mean_difference or lda, or better pairs"
        )
    return sides.along(axis.to(sides.wanted)), about
