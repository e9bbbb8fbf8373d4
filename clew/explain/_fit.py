"""From what a search finds to a rule: chosen on documents that it was not found on, lengthened while that pays, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.data.predicates.predicate import Predicate
from clew.data.predicates.rule import Clause, Rule
from clew.explain._ground import CHECK, TRAIN, Ground
from clew.explain._search import Search, Seen, complexity

Column = Bool[np.ndarray, " token"]
TRIED = 8
"""Of each length, how many of what was found are looked at exactly."""
PRICE = 0.03
"""The share of what it explains that a conjunction pays for each predicate more."""
MORE, SHARE = 0.015, 0.04
"""A further clause explains at least this much of the variance, and this share of what those before it do."""
STRONGER = 1.25
"""Where a clause is narrowed, the root of the unit is at least so many times as large."""
LEAST, SURE, PLACES, DOCUMENTS = 0.01, 5.0, 5, 3
"""Below this share of variance, this many standard deviations of chance, these hits, in these documents, no rule is given."""
WHOLE = 0.75
"""A rule holds in part where precision and recall, by what the unit sums to, have a lower harmonic mean."""


class Fit:
    """The fit of a rule to one side of one unit."""

    def __init__(
        self,
        ground: Ground,
        place: Int[np.ndarray, " firing"],
        value: Float[np.ndarray, " firing"],
        columns: Mapping[Predicate, Column],
    ) -> None:
        """What is explained is the root of the values: the strongest are not all, and the weakest count less.

        Args: columns: where other units fire.
        """
        part, root = ground.part[place], np.sqrt(value)
        self.ground, self.about, self._masks = ground, columns, dict(columns)
        self.known = ground.part <= CHECK
        self.strength = Seen(place[part <= CHECK], value[part <= CHECK], int(self.known.sum()))
        self.pooled = replace(self.strength, value=root[part <= CHECK])
        self.train = Seen(place[part == TRAIN], root[part == TRAIN], len(ground.rows))
        self.check = Seen(place[part == CHECK], root[part == CHECK], int((ground.part == CHECK).sum()))

    def rule(self, side: int, most: int) -> Rule:
        """The rule, of at most so many clauses, one of them perhaps narrowed."""
        left, clauses, explained = self.known.copy(), list[tuple[Predicate, ...]](), 0.0
        while len(clauses) < most:
            chosen = self._next(left)
            if chosen is None:
                break
            mask = self._mask(chosen) & left
            gain = self._gain(mask, self.pooled)
            least = max(MORE, SHARE * explained, 4 / max(1, len(self.train.place))) if clauses else LEAST
            if gain < least or self._gain(mask, self.check) < least / 2:
                break
            clauses.append(chosen)
            explained += gain
            left &= ~mask
        return self._judged(self._strengths(self._narrow(clauses)), side)

    def _next(self, left: Column) -> tuple[Predicate, ...] | None:
        search = Search(self.ground, self.train, self.about, left, self._masks)
        if len(search.seen.place) < PLACES:
            return None
        found = search.found()
        tried = [f for n in (1, 2, 3) for f in [f for f in found if len(f.predicates) == n][:TRIED]]
        scored = [(self._worth(f.predicates, left), f.predicates) for f in tried]
        return self._pruned(max(scored, key=lambda pair: pair[0])[1], left) if scored else None

    def _pruned(self, predicates: tuple[Predicate, ...], left: Column) -> tuple[Predicate, ...]:
        """Without what explains no more on the documents that it was not found on."""
        for one in sorted(predicates, key=lambda p: -complexity([p])):
            rest = tuple(p for p in predicates if p is not one)
            least = (1 - PRICE * complexity([one])) * self._checked(predicates, left)
            if rest and self._checked(rest, left) >= least:
                predicates = rest
        return predicates

    def _checked(self, predicates: tuple[Predicate, ...], left: Column) -> float:
        return self._gain(self._mask(predicates) & left, self.check)

    def _worth(self, predicates: tuple[Predicate, ...], left: Column) -> float:
        """What a conjunction explains, less the price of its length."""
        gain = self._gain(self._mask(predicates) & left, self.pooled)
        return gain * (1 - PRICE * (complexity(predicates) - 1))

    def _gain(self, mask: Column, seen: Seen) -> float:
        s, c = self._sums(mask, seen)
        c += 1.0
        above = max(0.0, s - c * seen.total / max(1, seen.n))
        return above**2 / (c * max(1e-3, 1 - c / max(1, seen.n))) / max(seen.spread, 1e-12)

    def _sums(self, mask: Column, seen: Seen) -> tuple[float, float]:
        """What the unit sums to on a set of tokens, and how many these are."""
        inside = self.ground.part == CHECK if seen is self.check else self.known
        return float(seen.value[mask[seen.place]].sum()), float(np.count_nonzero(mask & inside))

    def _mask(self, predicates: tuple[Predicate, ...]) -> Column:
        return self.ground.mask(predicates, self._masks)

    def _narrow(self, clauses: list[tuple[Predicate, ...]]) -> list[tuple[Predicate, ...]]:
        """The first clause also narrowed, where the unit is stronger, if that explains more."""
        if not clauses or len(clauses[0]) > 2:
            return clauses
        mask = self._mask(clauses[0])
        whole = self._split(mask, mask & False, self.pooled)
        search = Search(self.ground, self.train, self.about, mask & self.known, self._masks)
        best, worth = None, SHARE * whole
        for f in search.narrowed(clauses[0]):
            inner = self._mask(f.predicates) & mask
            s, c = self._sums(inner, self.pooled)
            t, d = self._sums(mask & ~inner, self.pooled)
            more = (self._split(inner, mask & ~inner, self.pooled) - whole) * (1 - PRICE * complexity(f.predicates))
            checked = self._split(inner, mask & ~inner, self.check) - self._split(mask, mask & False, self.check)
            if more > worth and checked > worth / 2 and s / max(1, c) > STRONGER * t / max(1, d) > 0:
                best, worth = f.predicates, more
        return clauses if best is None else [best, *clauses]

    def _split(self, one: Column, other: Column, seen: Seen) -> float:
        """What two disjoint sets explain together."""
        both = (self._sums(one, seen), self._sums(other, seen))
        return sum(s**2 / (c + 1) for s, c in both) / max(seen.spread, 1e-12)

    def _strengths(self, clauses: list[tuple[Predicate, ...]]) -> list[Clause]:
        left, made = self.known.copy(), list[Clause]()
        for predicates in clauses:
            mask = self._mask(predicates) & left
            s, c = self._sums(mask, self.strength)
            if s > 0:
                made.append(Clause(predicates, float(np.float32(s / max(1, c)))))
            left &= ~mask
        return made

    def _judged(self, clauses: Sequence[Clause], side: int) -> Rule:
        """The rule with a verdict on the documents that were kept for choosing: none, in part, or whole."""
        none = Rule((), side)
        if not clauses:
            return none
        mask = np.any([self._mask(clause.predicates) for clause in clauses], axis=0)
        inside = mask[self.check.place]
        hits, holds = int(inside.sum()), int(np.count_nonzero(mask & (self.ground.part == CHECK)))
        documents = len(np.unique(self.ground.text.group[self.check.place[inside]]))
        density = len(self.check.place) / max(1, self.check.n)
        expected = holds * density
        sure = (hits - expected) / max(1.0, np.sqrt(expected * (1 - density)))
        if hits < PLACES or documents < DOCUMENTS or sure < SURE or self._gain(mask, self.check) < LEAST:
            return none
        recall = float(self.check.value[inside].sum()) / self.check.total
        agreement = 2 / (holds / hits + 1 / recall)
        return Rule(tuple(clauses), side, agreement < WHOLE)
