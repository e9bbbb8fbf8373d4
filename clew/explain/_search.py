"""The search for a rule: single predicates, then two and three together, then further clauses where that one is silent.

How well a set of tokens explains a unit is the share of its variance that the set's mean explains: with c tokens on which
the unit sums to s, S and Q the sums of its values and of their squares over n tokens, (s²/c - S²/n) / (Q - S²/n) for a unit
that is silent outside. It takes only sums, which are made for all properties of all pieces at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.data.predicates.before import HERE, NEARBY
from clew.data.predicates.predicate import UNIT, Predicate
from clew.explain._ground import SEEN, Ground, place

Column = Bool[np.ndarray, " token"]
Rows = Int[np.ndarray, " row"]
Values = Float[np.ndarray, " row"]
Sums = Float[np.ndarray, " *set"]
WIDE, DEEP = 8, 4
"""How many single predicates, and pairs of them, are extended."""
LONGEST = 3
"""Predicates of a clause."""
SOME = 16_000
"""Tokens of a base at most that are counted; of more a sample."""
LEAST = 0.15
"""An extension keeps at least this share of what the unit sums to on its base."""
WORD, DENIED, BACK, FAR = 0.25, 0.75, 0.25, 1.0
COMPOSED, COPIED = 1.0, 6.0
"""What a further word of a set, a negation, a token before and one nearby add to the length of a rule; and another unit,
above all one at this very token, which says less to a reader than words do."""
SET = 16
"""Words of a set."""
FIRINGS = 3
"""A word of a set is one that the unit fires on so often."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Where a unit fires on one part of the text."""

    place: Rows
    value: Values
    n: int
    """Tokens of the part."""

    @cached_property
    def total(self) -> float:
        return float(self.value.sum())

    @cached_property
    def spread(self) -> float:
        """n times the variance."""
        return float((self.value**2).sum()) - self.total**2 / max(1, self.n)


@dataclass(frozen=True)
class Found:
    """A conjunction with what it covers of the part that is learnt from."""

    predicates: tuple[Predicate, ...]
    s: float
    c: float
    gain: float
    """The share of variance that it explains."""


@dataclass(frozen=True, eq=False)
class _Base:
    """What is extended: the tokens of a conjunction, or of a sample of them, and the unit there."""

    predicates: tuple[Predicate, ...]
    rows: Rows
    scale: float
    """How many tokens each of the rows stands for."""
    seen: Seen
    narrows: bool = False
    """What is added shall tell where on it the unit is stronger; else where it fires at all."""

    def gains(self, s: Sums, c: Sums, whole: Seen) -> Sums:
        """How much sets of its tokens explain, on which the unit sums to s."""
        if not self.narrows:
            return gains(s, c, whole)
        total, size = self.seen.total, len(self.rows) * self.scale
        t, d = total - s, np.maximum(0, size - c)
        split = s**2 / (c + 3.0) + t**2 / (d + 3.0) - total**2 / (size + 3.0)
        return np.where(s * d > t * c, split, 0) / max(whole.spread, 1e-12)


def gains(s: Sums, c: Sums, whole: Seen) -> Sums:
    """The share of variance that each set explains; 0 where the unit is below its mean on it.

    Three tokens of silence are added to each set, so that what stands a few times is not taken for certain.
    """
    c = np.maximum(c, 0) + 3.0
    mean = whole.total / max(1, whole.n)
    above = np.maximum(s - c * mean, 0)
    return above**2 / (c * np.maximum(1 - c / max(1, whole.n), 1e-3)) / max(whole.spread, 1e-12)


class Search:
    """A search on one text for one unit; what is covered by earlier clauses is left out."""

    def __init__(
        self,
        ground: Ground,
        unit: Seen,
        columns: Mapping[Predicate, Column],
        left: Column,
        masks: dict[Predicate, Column],
    ) -> None:
        """Args:
        unit: on the part that is learnt from.
        columns: of predicates that only this unit is asked about: other units, what it promotes.
        left: tokens not yet covered.
        masks: of predicates met before; added to.
        """
        self.ground, self.whole, self.columns = ground, unit, columns
        self._masks = masks
        inside = left[unit.place]
        self.seen = Seen(unit.place[inside], unit.value[inside], unit.n)
        self.rows = ground.rows[left[ground.rows]]

    def found(self) -> list[Found]:
        """The best conjunctions of each length, the best first."""
        singles = self._best(self._extended([self._base(())]), 3 * WIDE)
        pairs = self._best(self._extended([self._base(f.predicates) for f in singles[:WIDE]]), 3 * DEEP)
        triples = self._extended([self._base(f.predicates) for f in pairs[:DEEP]]) if LONGEST > 2 else []
        return sorted([*singles, *pairs, *self._best(triples, 2 * DEEP)], key=lambda f: -f.gain)

    def narrowed(self, predicates: tuple[Predicate, ...]) -> list[Found]:
        """The extensions of one conjunction that best tell where on it the unit is stronger."""
        base = replace(self._base(predicates), narrows=True)
        return self._best(self._extended([base]), 3 * DEEP)

    def _base(self, predicates: tuple[Predicate, ...]) -> _Base:
        if not predicates:
            return self._sampled((), self.rows, self.seen)
        mask = self.ground.mask(predicates, self._masks)
        inside = mask[self.seen.place]
        seen = Seen(self.seen.place[inside], self.seen.value[inside], self.seen.n)
        return self._sampled(predicates, self.rows[mask[self.rows]], seen)

    @staticmethod
    def _sampled(predicates: tuple[Predicate, ...], rows: Rows, seen: Seen) -> _Base:
        most = SOME if predicates else 1 << 62
        step = max(1, -(-len(rows) // most))
        some = rows[::step]
        return _Base(predicates, some, len(rows) / max(1, len(some)), seen)

    def _best(self, found: Iterable[Found], n: int) -> list[Found]:
        """The n best, of those that cover the same only the first."""
        kept: dict[tuple[float, float], Found] = {}
        for _, alike in groupby(sorted(found, key=_worst), _worst):
            for one in sorted(alike, key=lambda f: complexity(f.predicates)):
                kept.setdefault((round(one.s, 3), round(one.c)), one)
                if len(kept) == n:
                    return list(kept.values())
        return list(kept.values())

    def _extended(self, bases: Sequence[_Base]) -> list[Found]:
        """Each base with every predicate that may stand beside what it says."""
        found: list[Found] = []
        for view in SEEN:
            weights = [
                column
                for base in bases
                for column in (
                    self.ground.seen(view, base.seen.place, base.seen.value),
                    self.ground.seen(view, base.rows, np.full(len(base.rows), base.scale)),
                )
            ]
            sums = self.ground.properties.sums(np.stack(weights, axis=1)) if weights else np.zeros((0, 0))
            for i, base in enumerate(bases):
                found += self._of_view(view, base, sums[:, 2 * i], sums[:, 2 * i + 1])
        for base in bases:
            found += self._of_columns(base)
        return found

    def _of_view(
        self, view: str, base: _Base, s: Float[np.ndarray, " property"], c: Float[np.ndarray, " property"]
    ) -> list[Found]:
        names = self.ground.properties.names
        if view == NEARBY:  # one word counts once, but two of a class twice: only words are exact
            s, c = np.where(self.ground.words, s, 0), np.where(self.ground.words, c, 0)
        total = base.seen.total
        least = LEAST * total if base.predicates and not base.narrows else 0.0
        some = np.flatnonzero((s > 0) & (s >= least))
        gain = base.gains(s[some], c[some], self.whole)
        made: list[Found] = []
        for best in _top(gain, WIDE):
            i = int(some[best])
            made.append(_with(base, Predicate(*_one(names[i]), at=view), s[i], c[i], gain[best]))
        if base.predicates and view != NEARBY:
            rest, less = total - s, len(base.rows) * base.scale - c
            gain = base.gains(np.where(c > 0, rest, 0), less, self.whole)
            made += [
                _with(base, Predicate(*_one(names[i]), at=view, negated=True), rest[i], less[i], gain[i])
                for i in _top(gain, DEEP)
            ]
        return made if view == NEARBY else [*made, *self._sets(view, base, s, c)]

    def _sets(
        self, view: str, base: _Base, s: Float[np.ndarray, " property"], c: Float[np.ndarray, " property"]
    ) -> list[Found]:
        """Words, and tokens, by the mean of the unit on them: the best set of any size begins with the highest."""
        made: list[Found] = []
        least = FIRINGS * self.whole.total / max(1, len(self.whole.place))
        for family in ("word", "token"):
            index = np.array([i for i in np.flatnonzero(s > least) if self.ground.properties.names[i][0] == family])
            if len(index) < 2:
                continue
            order = index[np.argsort(-s[index] / (c[index] + 1))][:SET]
            sums, counts = np.cumsum(s[order]), np.cumsum(c[order])
            gain = base.gains(sums, counts, self.whole)
            if size := int(np.argmax(gain)):
                values = tuple(self.ground.properties.names[i][1] for i in order[: size + 1])
                made.append(_with(base, Predicate(family, values, at=view), sums[size], counts[size], gain[size]))
        return made

    def _of_columns(self, base: _Base) -> list[Found]:
        """With places, and with where other units fire."""
        columns = {place(name): column for name, column in self.ground.places.items()} | dict(self.columns)
        s = np.array([base.seen.value[column[base.seen.place]].sum() for column in columns.values()])
        c = np.array([np.count_nonzero(column[base.rows]) * base.scale for column in columns.values()])
        made = [_with(base, *one) for one in zip(columns, s, c, base.gains(s, c, self.whole), strict=True)]
        if base.predicates:
            rest, less = base.seen.total - s, len(base.rows) * base.scale - c
            denied = (replace(predicate, negated=True) for predicate in columns)
            gain = base.gains(rest, less, self.whole)
            made += [_with(base, *one) for one in zip(denied, rest, less, gain, strict=True)]
        return made


def _with(base: _Base, predicate: Predicate, s: Any, c: Any, gain: Any) -> Found:
    return Found((*base.predicates, predicate), float(s), float(c), float(gain))


def _worst(found: Found) -> float:
    """A key that sorts the best first; what differs by less is alike."""
    return -round(found.gain, 5)


def complexity(predicates: Sequence[Predicate]) -> float:
    """How much is said, in predicates of this token: further words of a set count less, what needs more to be seen more."""
    return sum(1 + WORD * (len(p.values) - 1) + DENIED * p.negated + _farther(p) for p in predicates)


def _farther(p: Predicate) -> float:
    if p.family == UNIT:
        return COPIED if p.at == HERE else COMPOSED
    return {HERE: 0.0, NEARBY: FAR}.get(p.at, BACK)


def _one(name: tuple[str, str]) -> tuple[str, tuple[str, ...]]:
    return name[0], (name[1],)


def _top(score: Float[np.ndarray, " candidate"], n: int) -> Int[np.ndarray, " best"]:
    """The n best above 0, of equal ones the first."""
    least = -np.partition(-score, n - 1)[n - 1] if n < len(score) else 0.0
    able = np.flatnonzero((score >= least) & (score > 0))
    return able[np.argsort(-score[able], kind="stable")[:n]]
