"""Explanations that can be executed: short lists of predicates of text, sought in the tokens on which a unit fires.

The predicates are of the token itself (words, classes, beginnings and endings, case, digits, marks, scripts), of the tokens
before it, of its place, and of the units below it. Rules are found on three fifths of the documents, chosen on a fifth, and
never see the last, which scorers use. Where no rule holds on documents that it was not found on, none is given.

Source: the search is that of separate-and-conquer rule learning (Fürnkranz 1999) with a beam, on the share of variance
explained instead of precision; that explanations should predict firing on unseen text is Bills et al. 2023. No language
model is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from jaxtyping import Bool, Int

from clew.data.predicates.before import BEFORE, HERE, NEXT
from clew.data.predicates.predicate import UNIT, Predicate, unit_of
from clew.data.predicates.rule import Rule
from clew.data.predicates.table import Table
from clew.explain._fit import PLACES, Fit
from clew.explain._ground import CHECK, Ground, ground_of
from clew.explain._sides import sides_of
from clew.firings import Fired, Firings
from clew.progress import Tell
from clew.sites import Site

ASKED = 150
"""Firings of a unit at which is asked what fires below."""
OFTEN = 0.3
"""A unit below is tried if it fires at this share of them."""
BELOW = 6
"""How many units below are tried at each distance."""
USUAL = 0.1
"""What fires at more of all tokens is no sign of anything."""


def rules(
    firings: Firings,
    units: Sequence[str],
    table: Table | None = None,
    *,
    below: Sequence[Site | str] | None = None,
    promoted: Mapping[str, Sequence[str]] | None = None,
    clauses: int = 4,
    sides: bool = True,
    progress: Tell | None = None,
) -> Mapping[str, tuple[Rule, ...]]:
    """A rule for each unit, and one for each of two sides where a unit also fires below 0.

    Args:
        units: addresses, such as resid.7/12.
        table: predicates of the text of the firings, if they are at hand.
        below: sites whose units a rule may speak of; by default the nearest one below each unit's own, and () for none.
        promoted: by address the tokens whose logits a unit raises, as `details["promotes"]` of `top_tokens` has them: a rule
            may say that one of them comes next.
        clauses: of a rule at most, beside one that narrows another.
        sides: explain both; otherwise the one on which the unit sums to more.
        progress: told after each unit.

    Returns: by address; `Rule(())`, which says "no rule found", where none holds.
    """
    ground, found = ground_of(Table.of(firings) if table is None else table), dict[str, tuple[Rule, ...]]()
    for done, address in enumerate(units):
        site, unit = unit_of(address)
        under = _under(firings, site) if below is None else [Site.parse(s) for s in below]
        foretold = tuple((promoted or {}).get(address, ()))
        row = firings.whole(site, unit)
        made = (_explained(ground, firings, row, side, under, foretold, clauses) for side in sides_of(row, both=sides))
        found[address] = tuple(made)
        if progress:
            progress(done + 1, len(units))
    return found


def _under(firings: Firings, site: Site) -> list[Site]:
    """The nearest site below of the same part, if it is known what fires there at a token."""
    lower = [s for s in firings.sites if s.part == site.part and s.layer is not None and s.layer < (site.layer or 0)]
    nearest = sorted(lower, key=lambda s: s.layer or 0)[-1:]
    try:
        for below in nearest:
            firings.at(below, 0)
    except ValueError:  # an index that keeps the largest firings only
        return []
    return nearest


def _explained(
    ground: Ground,
    firings: Firings,
    row: Fired,
    side: int,
    below: Sequence[Site],
    promoted: tuple[str, ...],
    clauses: int,
) -> Rule:
    fires = side * row.value > 0
    place, value = row.place[fires], np.abs(row.value[fires])
    order = np.argsort(place, kind="stable")
    place, value = place[order], value[order].astype(np.float64)
    if np.count_nonzero(ground.part[place] < CHECK) < PLACES:
        return Rule((), side)
    columns = _below(ground, firings, place, below)
    if promoted and side > 0:
        foretold = Predicate("token", promoted, NEXT)
        columns[foretold] = ground.table.mask(foretold)
    return Fit(ground, place, value, columns).rule(side, clauses)


def _below(
    ground: Ground, firings: Firings, place: Int[np.ndarray, " firing"], below: Sequence[Site]
) -> dict[Predicate, Bool[np.ndarray, " token"]]:
    """Where those units below fire that often do where this one fires, here and up to three tokens before."""
    known = place[ground.part[place] <= CHECK]
    asked = known[np.linspace(0, len(known) - 1, min(ASKED, len(known))).astype(int)] if below else known[:0]
    found: dict[Predicate, Bool[np.ndarray, " token"]] = {}
    for site, at in product(below, (HERE, *BEFORE)):
        looks = ground.table.view(at)[asked]
        fired = [firings.at(site, int(p)).unit for p in looks[looks >= 0]]
        units, times = np.unique(np.concatenate([np.empty(0, np.int64), *fired]), return_counts=True)
        often = units[np.argsort(-times, kind="stable")][: np.count_nonzero(times >= OFTEN * len(asked))]
        seldom = [u for u in often.tolist() if len(firings.row(site, u).place) <= USUAL * len(ground.text)]
        predicates = [Predicate(UNIT, (f"{site}/{unit}",), at) for unit in seldom[:BELOW]]
        found |= {predicate: ground.table.mask(predicate, firings) for predicate in predicates}
    return found
