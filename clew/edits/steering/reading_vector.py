"""A reading vector: the mean of the wanted states alone, standardised."""

from __future__ import annotations

from collections.abc import Sequence

from clew.changes import Steer
from clew.edits.steering._directions import At, Steered, place, two_sides
from clew.models import Model
from clew.readings.states import states
from clew.sites import Site
from clew.stack import Stack


def reading_vector(
    model: Model,
    evidence: Steered,
    *,
    sites: Sequence[Site | str] | None = None,
    at: At = None,
    steer: Steer = Steer(),
    labelling: str | None = None,
    positive: str | None = None,
) -> Stack:
    """Add, at each site, the average wanted state with its coordinates brought to mean 0 and spread 1.

    It needs no unwanted texts, so most of it is what all texts have in common; take it where none can be had.

    Args: as for `mean_difference`; patch prompts and other classes are not read.
    Returns: a Stack of one Add for each site. The natural length of a vector is the square root of its width, whatever
        the width of the stream; `about` holds the norm of the mean it came from.
    Raises: ValueError where there are no wanted texts.

    Source: Højer et al. 2025 (arXiv:2504.19483), the reading vector; that its coordinates are brought to mean 0 and
    spread 1 is how we read its standardising.

    ```python
    texts = (["2 + 2 = 4", "3 + 5 = 8"], [])
    stack = clew.edit(clew.open("smollm2-135m"), texts, by="reading_vector", steer=clew.Steer(scale=0.1))
    ```
    """
    texts = two_sides(evidence, labelling, positive)
    edits, said = [], {}
    for site, x in states(model, texts.wanted, **place(texts, model, sites, at)).items():
        mean = x.mean(0)
        vector = (mean - mean.mean()) / mean.std(correction=0)
        edits.append(steer.add(site, vector))
        said[str(site)] = {"size": len(mean) ** 0.5, "mean_norm": float(mean.norm())}
    about = {"estimator": "reading vector", "norm": steer.norm, **texts.about, "sites": said}
    return Stack(tuple(edits), "reading vector", about)
