"""Labels of units: an explainer says what each does, scorers judge that on text it was not made from, beside floors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clew.firings import Firings
from clew.labels import Kind, Label
from clew.models import Model
from clew.progress import Loops, Tell
from clew.readings.asking.asks import Asks
from clew.readings.index.resumed import Resumed
from clew.readings.unseen import Case, Unseen, compared, scored
from clew.report import Row
from clew.signatures import check_options, name_of, taken
from clew.version import VERSION

Scorer = Callable[..., tuple[Row, ...]]


@dataclass(frozen=True, eq=False)
class Labelling:
    """How the units of a view are explained, and how what is said of them is judged."""

    explainer: Callable[..., Any]
    scorers: Callable[[Sequence[str]], Sequence[Scorer]]
    """Those that judge an explanation, given the names of those that its kind is usually judged by."""
    floors: Sequence[Callable[..., Any]]
    options: Mapping[str, Any]
    """Of the explainer."""
    unseen: Unseen
    random: Firings | None = None
    """Where the units of a random dictionary fire in the same text."""
    asks: Asks | None = None
    _drawn: dict[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])
    """What was said of units of the random dictionary, each of which may lie beneath many."""

    def __post_init__(self) -> None:
        """Raises: ValueError for an option that the explainer lacks, or needs."""
        check_options(self.explainer, {**self.options, **self._given(self.unseen)})

    def labels(
        self, units: Sequence[str], resumed: Resumed, progress: Tell | None = None
    ) -> dict[str, tuple[Label, ...]]:
        """The labels of each unit; first all are explained, since floors look at what is said of others."""
        loops, cases = Loops(progress), dict[str, list[Case]]()
        with loops.part(0, 2):
            for unit in loops.over(units):
                found = resumed.explained(unit, lambda unit=unit: self._explained(self.unseen, unit))
                cases[unit] = [Case(one, self.unseen, unit) for one in found if one]
        others = [case for of_unit in cases.values() for case in of_unit]

        def judged(unit: str) -> tuple[Label, ...]:
            return tuple(self._label(case, others) for case in cases[unit])

        with loops.part(1, 2):
            return {unit: resumed.labelled(unit, lambda unit=unit: judged(unit)) for unit in loops.over(list(cases))}

    def _label(self, case: Case, others: Sequence[Case]) -> Label:
        """What is said of a unit with its scores, and how far each lies above the floors."""
        judges = self.scorers(getattr(case.explanation, "scored_by", ("detection", "simulation")))
        rows = scored(case, judges)
        for floor in self.floors:
            beside = floor(case, others, self._again, **taken(floor, random=self.random))
            rows += () if beside is None else compared(rows, scored(beside, judges), name_of(floor))
        kind: Kind = getattr(case.explanation, "kind", "rule")
        by_whom: str = getattr(case.explanation, "origin", "")
        origin = f"{name_of(self.explainer)}, clew {VERSION}{by_whom and f', by {by_whom}'}"
        return Label(str(case.explanation), kind, rows, origin)

    def _explained(self, where: Unseen, unit: str) -> Sequence[Any]:
        return self.explainer(where.firings, [unit], where.table, **self.options, **self._given(where))[unit]

    def _again(self, where: Unseen, unit: str, side: int) -> Any:
        """What the explainer says of one side of a unit of other firings."""
        known = self._drawn if where.firings is self.random else dict[str, Sequence[Any]]()
        if unit not in known:
            known[unit] = self._explained(where, unit)
        return next((one for one in known[unit] if one.side == side), known[unit][0])

    def _given(self, where: Unseen) -> dict[str, Model | Asks]:
        return taken(self.explainer, model=where.model, asks=self.asks)
