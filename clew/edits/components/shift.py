"""SHIFT: edit what a model uses by what its features mean.

Source: Marks et al. 2024 (arXiv:2403.19647), section 4. A classifier learnt on text in which the wanted class and
another always go together may use either. Its circuit says which features it uses, a person (or a rule) says which
of them have nothing to do with the task, and these are held at zero. No label of the other class is needed.
"""

from __future__ import annotations

from clew.circuits.circuit import Circuit
from clew.circuits.verdicts import Verdicts
from clew.models import Model
from clew.stack import Stack


def shift(model: Model, circuit: Circuit, *, verdicts: Verdicts) -> Stack:
    """Edits that hold every unit that was judged "drop" at zero, at every position; the error terms stay.

    Args:
        model: seen through the dictionaries that the circuit is of; the edits need the same view.
        circuit: what was judged. Positions of its nodes do not matter.
        verdicts: units still open are kept.

    Returns: a Stack of one `Scale(factor=0)` for each site; `about` counts the units and says who judged.
    Raises: ValueError if nothing is dropped, or if circuit, verdicts and model are not of the same dictionaries.

    >>> judged = Verdicts.of(circuit).drop("resid.2/17", "tells one from many", judge="Ada")
    >>> fair = view.edited(shift(view, circuit, verdicts=judged))
    >>> print(fair.generate(["The keys to the cabinet", "The key to the cabinet"], max_new_tokens=1))
    The keys to the cabinet are
    The key to the cabinet
    """
    held = model.fingerprints
    for what, made in (("circuit", circuit.provenance.get("dictionaries", {})), ("verdicts", verdicts.dictionaries)):
        if odd := [site for site, name in made.items() if held.get(site, name) != name]:
            raise ValueError(f"the {what} is of another dictionary at {', '.join(odd)} than the model is seen through")
    dropped = verdicts.dropped(circuit).everywhere()
    if not len(dropped):
        raise ValueError(f"nothing of this circuit is dropped ({verdicts}); judge it with clew judge")
    rulings = [ruling for node in dropped if (ruling := verdicts[node.address])]
    edits = model.edited(dropped.zero()).edits[len(model.edits) :]
    return Stack(
        edits,
        f"SHIFT of {len(dropped)} units",
        {
            "units": {n.address: r.reason for n, r in zip(dropped, rulings, strict=True)},
            "judges": sorted({r.judge for r in rulings}),
            "left open": len(verdicts.open),
        },
    )
