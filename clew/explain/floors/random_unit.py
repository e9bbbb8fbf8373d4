"""Random unit: a unit of a random dictionary that fires about as often on the same text, explained and scored likewise.

Units of a random dictionary are no meanings that a training has found, yet fire on something: what is said of them is what
the model's activations alone give. Source: Korznikov et al. 2026, arXiv:2602.14111, on floors of equal L0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from clew.data.predicates.predicate import unit_of
from clew.dictionaries.directions import Directions
from clew.firings import Firings
from clew.models import Model
from clew.readings.pushed import SaysNext, row_of
from clew.readings.unseen import Case, Explain, Unseen

NEAR = 5
"""How many units of about the same number of firings one is drawn from."""


def random_unit(
    case: Case,
    others: Sequence[Case],
    explain: Explain,
    *,
    random: Firings | None = None,
    among: int = 2000,
    seed: int = 0,
) -> Case | None:
    """A unit at the same site of the firings of a random dictionary; of what a unit does, a random direction in its place.

    Args:
        others: not looked at.
        random: where the units of the random dictionary fire, in the same text; what a unit does needs none.
        among: of so many units, drawn once for all; fewer are explained sooner.
        seed: draws the units, or the direction.

    Raises: ValueError without such firings, for a site that they have not, or where they are of another text.
    """
    if isinstance(case.explanation, SaysNext) and case.unseen.model is not None:
        unseen = case.unseen.seen(_at_random(case.unseen.model, case.unit, seed))
        return Case(explain(unseen, case.unit, case.explanation.side), unseen, case.unit)
    if random is None:
        raise ValueError("the floor random_unit needs the firings of a random dictionary; give them as random=")
    site, unit = unit_of(case.unit)
    if site not in random.sites:
        raise ValueError(f"the random firings are of {', '.join(map(str, random.sites))}; {site} is not among them")
    _check_text(random, case.unseen.firings)
    side, draw = case.explanation.side, np.random.default_rng(seed)
    wanted = np.count_nonzero(side * case.unseen.firings.row(site, unit).value > 0)
    able = draw.permutation(random.units(site))[:among]
    counts = np.array([np.count_nonzero(side * random.row(site, int(u)).value > 0) for u in able])
    apart = np.where(counts > 0, np.abs(np.log1p(counts) - np.log1p(wanted)), np.inf)
    address = f"{site}/{able[int(draw.choice(np.argsort(apart, kind='stable')[:NEAR]))]}"
    unseen = Unseen(random, case.unseen.table)
    return Case(explain(unseen, address, side), unseen, address)


def _check_text(random: Firings, firings: Firings) -> None:
    pairs = (random.tokens, firings.tokens), (random.windows, firings.windows)
    if not all(one is other or np.array_equal(one, other) for one, other in pairs):
        raise ValueError(
            f"the random firings are of another text ({len(random.tokens)} tokens in {len(random.windows) - 1} windows) than "
            f"those that are explained ({len(firings.tokens)} in {len(firings.windows) - 1}); make both of the same windows"
        )


def _at_random(model: Model, address: str, seed: int) -> Model:
    """The model seen in as many units as there are at the site, all of one random direction."""
    (site, unit), old = unit_of(address), row_of(model, address)
    draw = np.random.default_rng([seed, unit])
    row = torch.from_numpy(draw.normal(size=len(old))).to(old)[None]
    rows, nothing = row.expand(unit + 1, -1), row[0] * 0
    return model.through(Directions(site, W_enc=rows.T, W_dec=rows, b_dec=nothing, centred=False))
