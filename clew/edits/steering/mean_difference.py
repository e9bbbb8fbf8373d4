"""Contrastive activation addition: the mean of the wanted states less the mean of the unwanted ones."""

from __future__ import annotations

from collections.abc import Sequence

from clew.changes import Steer
from clew.edits.steering._directions import At, Steered, read, steering, two_sides
from clew.models import Model
from clew.sites import Site
from clew.stack import Stack


def mean_difference(
    model: Model,
    evidence: Steered,
    *,
    sites: Sequence[Site | str] | None = None,
    at: At = None,
    steer: Steer = Steer(),
    labelling: str | None = None,
    positive: str | None = None,
) -> Stack:
    """Add, at each site, the vector from the average unwanted state to the average wanted one.

    Args:
        evidence: a Behaviour, whose clean prompts are wanted and whose patch prompts are not; Labelled texts; or two
            lists of texts, (wanted, unwanted).
        sites: where to read and to add; by default the output of one middle block, `resid.{n_layers // 2}`: there the
            text is read and the answer not yet written, and one layer is as good as a few in most reports.
        at: the token to read, from the end if negative; "mean" for the mean over all but the first (a sink of huge norm);
            by default the one that Labelled texts name, else the last.
        steer: how the vector is added (`clew.Steer`): where, how many times, at its own length or at length 1.
        labelling: of Labelled texts, the labelling to go by; may be left out where there is one.
        positive: of Labelled texts, the class that is wanted; the others are not.

    Returns: a Stack of one Add for each site. `about` names the estimator, the norm convention, the evidence by hash,
        how many texts stood on each side and, for each site, the natural `size` of the vector, the `gap` between the two
        means and its `noise`: the standard error of the gap, over groups of prompts (copies are one, and a pair and its
        reverse), None for fewer than five on a side.
    Raises: ValueError for a side without texts, a class that is not there, sides that do not differ, or pairs whose gap is
        at most 1.5 times its noise. Warns where that of two lists is: then most of the vector is chance.

    Source: Rimsky et al. 2024 (arXiv:2312.06681), section 3. Differs: by default every position is steered, not only
    those after the prompt; Steer(where=RESPONSE) does that.

    ```python
    model = clew.open("smollm2-135m")
    texts = (["I love this film", "What a joy", "A wonderful day"], ["I hate this film", "What a bore", "A terrible day"])
    kind = clew.edit(model, texts, by="mean_difference", sites=["resid.15"], steer=clew.Steer(scale=0.6))
    print(model.edited(kind).generate("I think that the film is"))  # a great example of how ...
    print(model.edited(kind.scaled(-1.0)).generate("I think that the film is"))  # a commentary on the dangers of ...
    ```
    """
    texts = two_sides(evidence, labelling, positive)
    return steering(
        "mean difference",
        texts,
        read(texts, model, sites, at),
        lambda sides: (sides.gap, {}),
        steer,
    )
