"""Steering with a unit of a dictionary whose number is known."""

from __future__ import annotations

from clew.changes import Add, Set
from clew.edits.steering._units import decoder_row
from clew.models import Model
from clew.near import near
from clew.sites import EVERY, Site, Where
from clew.stack import Stack


def unit(
    model: Model,
    evidence: None = None,
    *,
    at: Site | str,
    number: int,
    scale: float = 1.0,
    value: float | None = None,
    where: Where = EVERY,
) -> Stack:
    """Add what a unit writes, or hold the unit at a value.

    Args:
        model: seen through a dictionary that writes the site `at`.
        evidence: none is needed; `unit_steering` finds units by texts.
        at: the site that the dictionary writes.
        number: the unit, counted from 0.
        scale: how much of the unit's decoder row is added; without `value`.
        value: hold the unit at this activation instead. What the dictionary leaves unexplained, and all other units,
            stay; at the value that the unit has nothing changes.
        where: the positions that are steered.

    Returns: a Stack of one Add of the decoder row, which goes with any view of the model, or of one Set of the code,
        which goes with a model seen through that dictionary; `about` holds the dictionary's hash and the row's norm.
    Raises: ValueError for a site without a dictionary, or a unit that it does not have.

    Source: Templeton et al. 2024, "Scaling Monosemanticity", feature steering (`value`); Goyal et al. 2025
    (arXiv:2505.14536), the decoder row (`scale`).

    ```python
    view = clew.open("smollm2-135m").through(*clew.Dictionary.load("smollm2-135m"))
    stack = clew.edit(view, by="unit", at="resid.15", number=7, scale=3.0)
    ```
    """
    site, known = model.body.site(at), model.dictionaries
    if site not in known:
        raise ValueError(f"the model is not seen through a dictionary at {site}; {near(str(site), map(str, known))}")
    dictionary = known[site]
    if not 0 <= number < dictionary.n_units:
        raise ValueError(f"there is no unit {number} at {site}, which has {dictionary.n_units} units")
    row = decoder_row(dictionary, number)
    about = {
        "dictionary": dictionary.fingerprint,
        "site": str(site),
        "unit": number,
        "norm": "decoder row",
        "size": float(row.norm()),
    }
    if value is None:
        return Stack((Add(site, vector=row, scale=scale, where=where),), f"unit {number} at {site}", about)
    held = Set(site, value=value, basis="code", units=(number,), where=where)
    return Stack((held,), f"unit {number} at {site} held at {value:g}", about)
