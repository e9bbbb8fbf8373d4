"""Switching off, damping or inverting the units of a dictionary that fire on texts to avoid."""

from __future__ import annotations

from collections.abc import Sequence

from clew.changes import Scale
from clew.data.labels.labelled import Labelled
from clew.edits.steering._units import Rank, choose
from clew.models import Model
from clew.sites import Site
from clew.stack import Stack


def unit_scaling(
    model: Model,
    labelled: Labelled,
    *,
    avoid: str,
    at: Site | str | None = None,
    units: int | Sequence[int] = 10,
    factor: float = 0.0,
    rank: Rank = "mean",
    skip: int = 1,
    labelling: str | None = None,
) -> Stack:
    """Multiply the code of the units that fire more on texts to avoid than on ordinary ones.

    What flows at the site changes by (factor - 1) * code * row; where a unit is silent nothing moves, and what the
    dictionary leaves unexplained always stays.

    Args:
        model: seen through dictionaries.
        labelled: texts to avoid and ordinary texts.
        avoid: the class of the texts to avoid; all other classes are ordinary.
        at: the site of the dictionary; may be left out where there is one.
        units: how many, or which.
        factor: 0 switches the units off, 0.5 halves them, a negative factor writes their opposite.
        rank: by the difference of the "mean" activation, or of the "share" of texts in which a unit fires.
        skip: leave the first tokens of a text out of what is counted.
        labelling: which labelling of `labelled`; may be left out where there is one.

    Returns: a Stack of one Scale of the code; `about` holds the units, how often they fire on either side, and the
        dictionary's hash. It goes with a model seen through that dictionary.
    Raises: ValueError for a site without a dictionary, an unknown class, or a unit that never fires there.

    Source: the edit of SAUCE (arXiv:2503.14530; withdrawn by its authors, so its figures are no reference): top units
    by activation on the concept, scaled down in the forward pass. Differs: ranked by the difference to ordinary texts,
    not by activation alone, which would name units that always fire; the error term stays, where SAUCE goes on with
    the reconstruction.

    ```python
    from clew.data.labels.labelled import Labelled

    view = clew.open("smollm2-135m").through(*clew.Dictionary.load("smollm2-135m"))
    texts = Labelled("two", ("What a vile fool", "What a fine day"), {"tone": ("rude", "kind")})
    stack = clew.edit(view, texts, by="unit_scaling", avoid="rude", at="resid.15", factor=-1.0)
    ```
    """
    chosen = choose(model, labelled, avoid=avoid, at=at, units=units, rank=rank, skip=skip, labelling=labelling)
    edit = Scale(chosen.dictionary.writes, factor=factor, basis="code", units=chosen.units)
    return Stack((edit,), "unit scaling", {**chosen.about, "factor": factor})
