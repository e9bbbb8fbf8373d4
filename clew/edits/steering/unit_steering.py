"""Steering away from what a few units of a dictionary mean, always or only where they fire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from clew.changes import Add, Gate
from clew.data.labels.labelled import Labelled
from clew.edits.steering._units import Rank, choose
from clew.models import Model
from clew.near import near
from clew.sites import Site
from clew.stack import Stack

Tier = Literal["constant", "prompt", "token"]


def unit_steering(
    model: Model,
    labelled: Labelled,
    *,
    avoid: str,
    at: Site | str | None = None,
    units: int | Sequence[int] = 1,
    tier: Tier = "token",
    strength: float = 1.0,
    rank: Rank = "mean",
    skip: int = 1,
    labelling: str | None = None,
) -> Stack:
    """Subtract the decoder rows of the units that fire more on texts to avoid than on ordinary ones.

    What flows at the site loses strength * size * row for each unit, its size being its mean activation where it fires
    on the texts to avoid. So a strength of 1 takes out what a typical firing writes, and a larger one steers against it.
    The site is never replaced by the dictionary's reconstruction: strength 0, or a gate that stays shut, leaves every bit.

    Args:
        model: seen through dictionaries; the conditional tiers work on a model seen through the same dictionary.
        labelled: texts to avoid and ordinary texts.
        avoid: the class of the texts to avoid; all other classes are ordinary.
        at: the site of the dictionary; may be left out where there is one.
        units: how many, or which.
        tier: "constant", at every position; "prompt", at every position of a row in whose prompt the unit fires;
            "token", at the positions at which the unit fires.
        strength: in units of the mean activation of the unit where it fires.
        rank: by the difference of the "mean" activation, or of the "share" of texts in which a unit fires. Few large
            values make a mean, so it may name a unit that fires everywhere, on which no gate tells texts apart.
        skip: leave the first tokens of a text out of what is counted.
        labelling: which labelling of `labelled`; may be left out where there is one.

    Returns: a Stack of one Add for each unit; `about` holds the units, their sizes, how often they fire on either side,
        and the dictionary's hash.
    Raises: ValueError for a site without a dictionary, an unknown class or tier, or a unit that never fires there.

    Source: Goyal et al. 2025, "Breaking Bad Tokens" (arXiv:2505.14536): units by mean activation difference, three
    tiers. Differs: the strength is relative to each unit's own size, so that one number fits sites and units of any
    scale; several units are each gated by themselves.

    ```python
    from clew.data.labels.labelled import Labelled

    view = clew.open("smollm2-135m").through(*clew.Dictionary.load("smollm2-135m"))
    texts = Labelled("two", ("What a vile fool", "What a fine day"), {"tone": ("rude", "kind")})
    stack = clew.edit(view, texts, by="unit_steering", avoid="rude", at="resid.15", tier="prompt", strength=2.0)
    print(view.edited(stack).generate("Hello, you"))
    ```
    """
    if tier not in get_args(Tier):
        raise ValueError(f"there is no tier {tier!r}; {near(str(tier), get_args(Tier))}")
    chosen = choose(model, labelled, avoid=avoid, at=at, units=units, rank=rank, skip=skip, labelling=labelling)
    gate = None if tier == "constant" else tier
    edits = tuple(
        Add(
            chosen.dictionary.writes,
            vector=-size * chosen.row(unit),
            scale=strength,
            gate=gate and Gate(unit=unit, reach=gate),
        )
        for unit, size in zip(chosen.units, chosen.size, strict=True)
    )
    norm = "scale 1 is the mean activation of the unit where it fires on the texts to avoid, times its decoder row"
    return Stack(edits, "unit steering", {**chosen.about, "tier": tier, "strength": strength, "norm": norm})
