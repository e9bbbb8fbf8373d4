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

import numpy as np
from jaxtyping import Bool

from clew.data.predicates.before import BEFORE, HERE
from clew.data.predicates.predicate import UNIT, Predicate, unit_of
from clew.data.predicates.rule import Rule
from clew.data.predicates.table import Table
from clew.explain._fit import PLACES, Fit
from clew.explain._ground import CHECK, Ground, ground_of
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
    clauses: int = 4,
    sides: bool = True,
    progress: Tell | None = None,
) -> Mapping[str, tuple[Rule, ...]]:
    """A rule for each unit, and one for each of two sides where a unit also fires below 0.

    Args:
        units: addresses, such as resid.7/12.
        table: predicates of the text of the firings, if they are at hand.
        below: sites whose units a rule may speak of; by default the nearest one below each unit's own, and () for none.
        clauses: of a rule at most, beside one that narrows another.
        sides: explain both; otherwise the one on which the unit sums to more.
        progress: told after each unit.

    Returns: by address; `Rule(())`, which says "no rule found", where none holds.
    """
    ground, found = ground_of(Table.of(firings) if table is None else table), dict[str, tuple[Rule, ...]]()
    for done, address in enumerate(units):
        site, unit = unit_of(address)
        under = _under(firings, site) if below is None else [Site.parse(s) for s in below]
        row = firings.row(site, unit)
        total = {side: float(np.maximum(side * row.value, 0).sum()) for side in (1, -1)}
        best = 1 if total[1] >= total[-1] else -1
        wanted = [
            side for side in (best, -best) if side == best or (sides and (side * row.value > 0).sum() >= 4 * PLACES)
        ]
        found[address] = tuple(_explained(ground, firings, row, side, under, clauses) for side in wanted)
        if progress:
            progress(done + 1, len(units))
    return found


def _under(firings: Firings, site: Site) -> list[Site]:
    """The nearest site below of the same part."""
    lower = [s for s in firings.sites if s.part == site.part and s.layer is not None and s.layer < (site.layer or 0)]
    return sorted(lower, key=lambda s: s.layer or 0)[-1:]


def _explained(ground: Ground, firings: Firings, row: Fired, side: int, below: Sequence[Site], clauses: int) -> Rule:
    fires = side * row.value > 0
    place, value = row.place[fires], np.abs(row.value[fires])
    order = np.argsort(place, kind="stable")
    place, value = place[order], value[order].astype(np.float64)
    if np.count_nonzero(ground.part[place] < CHECK) < PLACES:
        return Rule((), side)
    columns = _columns(ground, firings, place, value, below)
    return Fit(ground, place, value, columns).rule(side, clauses)


def _columns(
    ground: Ground, firings: Firings, place: np.ndarray, value: np.ndarray, below: Sequence[Site]
) -> dict[Predicate, Bool[np.ndarray, " token"]]:
    """Where those units below fire that often do where this one fires, here and up to three tokens before."""
    known = place[ground.part[place] <= CHECK]
    asked = known[np.linspace(0, len(known) - 1, min(ASKED, len(known))).astype(int)] if below else known[:0]
    found: dict[Predicate, Bool[np.ndarray, " token"]] = {}
    for site in below:
        for at in (HERE, *BEFORE):
            looks = ground.table.view(at)[asked]
            fired = [firings.at(site, int(p)).unit for p in looks[looks >= 0]]
            units, times = np.unique(np.concatenate([np.empty(0, np.int64), *fired]), return_counts=True)
            often = units[np.argsort(-times, kind="stable")][: np.count_nonzero(times >= OFTEN * len(asked))]
            usual = [u for u in often.tolist() if len(firings.row(site, u).place) <= USUAL * len(ground.text)]
            for unit in usual[:BELOW]:
                predicate = Predicate(UNIT, (f"{site}/{unit}",), at)
                found[predicate] = ground.table.mask(predicate, firings)
    return found
